"""What can be wrong with a video: one error, since the person's answer is always another file."""

from __future__ import annotations


class UnusableVideo(ValueError):
    """Say what is wrong with the video and what to do. Trying again with the same bytes cannot help."""
