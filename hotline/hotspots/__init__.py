"""热点: what people ask for again and again, where, and since when (art. 25): themes, sudden rises, repeats, the seasons."""
