"""The names of fields: English words in them that say what a field is. One sign among others, which `keys` and `times` weigh."""

from __future__ import annotations

import re
from typing import Final


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


PEOPLE: Final = _listed(
    "user usr uid customer cust buyer shopper member subscriber visitor viewer reader listener player person patient "
    "student learner pupil employee worker driver rider passenger traveler guest actor author contributor committer "
    "reviewer sender owner account acct client profile household borrower investor trader citizen voter speaker "
    "participant"
)
"""Those who act: whoever has events has a history."""

THINGS: Final = _listed(
    "sensor device machine unit engine turbine pump motor robot meter probe station vehicle truck car vessel ship "
    "aircraft bus asset equipment appliance battery node host server router instance container thermostat satellite "
    "well beacon"
)
"""Things that are measured or that report by themselves."""

VISITS: Final = _listed("session sess sid cookie visit trip journey conversation thread case incident episode")
"""Things that last for a while, and may belong to somebody who comes again."""

KINDS: Final = frozenset(
    {"device", "client", "host", "station", "account", "profile", "car", "vehicle", "case", "instance", "unit"}
)
"""Words above that also name kinds of things (`device: mobile`): they need many values, or a name that is that of an id."""

PROPERTIES: Final = _listed(
    "country region state province county city town zip postcode postal language lang locale gender sex age race type "
    "kind category genre brand class group cluster segment cohort tier level grade status stage phase channel source "
    "medium campaign referrer referer browser os platform version currency color colour size hour day weekday dow "
    "month quarter year date week action event verb method response reason result outcome success error flag "
    "label target rating ratings score stars price cost amount total revenue quantity qty count value val reading "
    "measurement temperature temp humidity pressure voltage current power speed weight height length width depth "
    "duration latency lat lon lng latitude longitude position rank index rate ratio percent"
)
"""Properties of an event or of its owner, however often they repeat."""

IDS: Final = _listed("id ids uuid guid key hash no nr number num code serial sn name")
"""Words after the one that says what a field is."""

TIMES: Final = _listed(
    "time timestamp ts date datetime at when dt tstamp stamp epoch unixtime clock moment created occurred happened "
    "logged recorded received sent posted reviewed visited viewed ordered rated update"
)

LESS: Final = _listed(
    "birth born birthday dob expires expiry expiration due deadline deleted update updated modified joined registered signup "
    "until valid end ended finish finished closed load loaded ingest ingested inserted processed first last"
)
"""Words in names of times that are hardly those of the events."""

COUNTERS: Final = frozenset({"time", "timestamp", "ts", "t", "tick", "step", "cycle", "frame", "timestep", "time_step"})
"""Whole names of fields that order events, although their numbers are no dates."""


def words(name: str) -> list[str]:
    """Returns the words of a name, in lower case; of `userid` also the two that it is made of.

    >>> words("reviewerID"), words("user_ids"), words("visitorid")
    (['reviewer', 'id'], ['user', 'ids'], ['visitorid', 'visitor', 'id'])
    """
    found = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+", name)]
    made = []
    for word in found:
        made.append(word)
        ends = (end for end in _ENDS if word.endswith(end) and word not in (end, *_WHOLE))
        end = next((end for end in ends if not _ENDS[end] or word.removesuffix(end) in _ENDS[end]), "")
        made += [word.removesuffix(end), end] if end else []
        if word.endswith("s") and word[:-1] in PEOPLE | THINGS | VISITS:
            made.append(word[:-1])
    return made


_STARTS: Final = PEOPLE | THINGS | VISITS | _listed("item product movie event order record row song")

_ENDS: Final = {
    "uuid": _STARTS,
    "id": _STARTS,
    "key": _STARTS,
    "at": TIMES | LESS,
    "time": frozenset(),
    "date": frozenset(),
    "stamp": frozenset(),
}
"""Ends of words that are words, after what: after anything, where nothing is listed."""


_WHOLE: Final = _listed("candidate mandate update validate invalidate consolidate")
"""Words that only look as if they ended in another one."""


def head(name: str) -> str:
    """Returns the word that says what a field is: the last one but those of ids.

    >>> head("customer_id"), head("customer_segment"), head("userAgent")
    ('customer', 'segment', 'agent')
    """
    found = words(name)
    return next((word for word in reversed(found) if word not in IDS), found[-1] if found else "")


def is_property(name: str) -> bool:
    """Returns whether a name is that of what is said of something."""
    return bool(PROPERTIES & set(words(name)))


def is_id(name: str) -> bool:
    """Returns whether a name is that of an id.

    >>> is_id("movieId"), is_id("rating")
    (True, False)
    """
    return bool(IDS - {"name"} & set(words(name)))


def is_time(name: str) -> bool:
    """Returns whether a name is that of a time; `time_spent` is one by its name, and an amount by its values.

    >>> is_time("unixReviewTime"), is_time("created_at"), is_time("price")
    (True, True, False)
    """
    return bool(TIMES & set(words(name)))
