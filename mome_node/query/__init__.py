"""Asking an archive what it holds, by C-FIND (PS3.4 annex C) or QIDO-RS (PS3.18 section 10.6)."""
