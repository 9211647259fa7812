"""Words about a running job. No bpy."""

from __future__ import annotations

from ..link.job import Job


def duration(seconds: float) -> str:
    """12 s, 3 min, 1 h 5 min: as exact as a guess deserves."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def remaining(job: Job) -> str:
    return f"about {duration(job.eta_s)} left" if job.eta_s is not None and job.fraction > 0.02 else ""


def time_line(job: Job) -> str:
    """Seconds so far and seconds left: every second it says something new, whatever the bar does."""
    minutes, seconds = divmod(int(job.elapsed), 60)
    return ", ".join(filter(None, (f"{minutes}:{seconds:02d}", remaining(job))))


def activity(job: Job) -> str:
    if job.cancelled_at is not None:
        return "Cancelling"
    return "Finishing" if job.finishing else job.stage


def progress_line(job: Job) -> str:
    """One line for a log; it changes with each stage and every 5 %."""
    return f"{activity(job)}: {int(job.fraction * 20) * 5} %"


def status_line(job: Job) -> str:
    """For Blender's status bar."""
    return f"{job.title}: {activity(job)} {job.fraction:.0%}, {time_line(job)}  |  Esc: Cancel"
