"""From the plain data in a notice to the object that a client sees: which renderer serves which dataclass.

Resource modules register the dataclass that their notices hold, with the very render function that answers
their own requests. So an event shows what a retrieve would have shown at that instant.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from meterline.api.stripe.expand import conceal
from meterline.api.stripe.json import Json
from meterline.api.stripe.version import shape
from meterline.store.notice import Notice, kind_of
from meterline.store.row import load

T = TypeVar("T")

THIN_ONLY = ("v1.", "v2.")
"""Types with these beginnings have no snapshot form: they exist as thin events only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """What a thin event points at."""

    id: str
    type: str
    url: str

    def rendered(self) -> Json:
        return {"id": self.id, "type": self.type, "url": self.url}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    render: Callable[[Any], Json]
    cls: type
    url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    data: Callable[[Any], Json | None]
    related: Callable[[Any], Related | None]
    cls: type


_snapshots: dict[str, _Snapshot] = {}
_reports: dict[str, _Report] = {}


def snapshots(cls: type[T], render: Callable[[T], Json], *, url: str | None) -> None:
    """Register how notices about `cls` are shown. `url` is where the object is read (`/v1/products/{id}`)."""
    kind = kind_of(cls)
    known = _snapshots.get(kind)
    assert known is None or known.cls is cls, f"two dataclasses are called {kind}"
    _snapshots[kind] = _Snapshot(render=render, cls=cls, url=url)


def reports(cls: type[T], *, data: Callable[[T], Json | None], related: Callable[[T], Related | None]) -> None:
    """Register how thin-only notices about `cls` are shown: their data, and the object they point at."""
    _reports[kind_of(cls)] = _Report(cls=cls, data=data, related=related)


def rendered(told: Notice, *, version: str) -> Json:
    """The object after the change, in the shape of an API version.

    A kind that this server does not know (written by a newer one, or by one that had more features) is shown by its
    id alone: its members may hold what nobody is to see, and the list that it is in has to be readable.
    """
    return _shown(told, told.snapshot, version)


def previous_attributes(told: Notice, *, version: str) -> Json | None:
    """The old values of the members that changed, in the same shape; None where the notice is no change."""
    if told.previous is None:
        return None
    before = _shown(told, told.previous, version)
    return changes(before, rendered(told, version=version))


def related(told: Notice, *, version: str) -> Related | None:
    """The object that a thin event points at."""
    report = _reports.get(told.kind)
    if report is not None:
        return report.related(load(report.cls, told.snapshot))
    known = _snapshots.get(told.kind)
    url = None if known is None else known.url
    if url is None:
        return None
    return Related(
        id=told.object_id,
        type=str(rendered(told, version=version).get("object", told.kind)),
        url=url.format(id=told.object_id),
    )


def data(told: Notice) -> Json | None:
    """What a thin event carries when it is fetched; None where it carries nothing."""
    report = _reports.get(told.kind)
    return None if report is None else report.data(load(report.cls, told.snapshot))


def _shown(told: Notice, snapshot: Mapping[str, Any], version: str) -> Json:
    known = _snapshots.get(told.kind)
    if known is None:
        return {"id": told.object_id, "object": told.kind}
    body = known.render(load(known.cls, snapshot))
    conceal(body)
    shape(body, version)
    return body


def changes(before: Json, after: Json) -> Json:
    """What `before` had in the members that differ; nested hashes are compared member by member."""
    changed: Json = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            changed[name] = changes(old, new)
        else:
            changed[name] = old
    return dict(sorted(changed.items()))
