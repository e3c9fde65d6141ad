"""Exports with approval: asked, approved, watermarked, expired."""
