"""The demo's knowledge base: filled before the half year begins, told from, learnt from, corrected and asked about in it."""

from knowledge_base.demo.play import KnowledgeBase

SHELF = KnowledgeBase()

__all__ = ["SHELF"]
