"""Runtime hooks of SnapStart, with the names of AWS's package `snapshot-restore-py`: what is to be done before the initialised
function becomes a template, and what in each instance that is cloned of it. A function's own copy of the package takes
precedence and works as well. A function started plainly runs no hooks."""

_before_snapshot = []
_after_restore = []


def register_before_snapshot(func, *args, **kwargs):
    """The last one registered runs first."""
    _before_snapshot.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """The first one registered runs first."""
    _after_restore.append((func, args, kwargs))
    return func


def get_before_snapshot():
    return _before_snapshot


def get_after_restore():
    return _after_restore
