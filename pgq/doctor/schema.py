"""The schema: its version, its routines, its rights, and what holds it together."""

from __future__ import annotations

from pgq import schema as shipped
from pgq.doctor.check import Seen, check, several
from pgq.doctor.patient import Patient

_MIGRATE = "pgq migrate"


@check(
    "The schema's version against this program's.",
    measure="1 newer than the program, 2 older or none",
    warning=1,
    critical=2,
    mend="{command}",
)
def schema_version(patient: Patient) -> Seen:
    found, ours = patient.version, shipped.VERSION
    command = _MIGRATE if found < ours else "pip install --upgrade pgq-service"
    return Seen(
        figure=0 if found == ours else 1 if found > ours else 2,
        evidence=f"the schema is version {found}, the program brings {ours}",
        names={"command": command},
    )


@check(
    "Routines in the database against the files of this program, by their text: changed, missing, "
    "or left over. With a newer schema they differ.",
    measure="routines",
    warning=1,
    mend=_MIGRATE,
)
def routines(patient: Patient) -> Seen:
    there, ours = patient.routines, shipped.routines()
    found = [f"{name} is missing" for name in sorted(ours.keys() - there.keys())]
    found += [f"{name} is not ours" for name in sorted(there.keys() - ours.keys())]
    for name in sorted(ours.keys() & there.keys()):
        if shipped.digest(there[name]["body"]) != ours[name].digest:
            found.append(f"{name} was changed")
        elif (there[name]["is_definer"], bool(there[name]["is_pinned"])) != (
            ours[name].is_definer,
            ours[name].is_pinned,
        ):
            found.append(f"{name} was altered")
    return several(found, f"all {len(ours)} are those of the files")


@check(
    "The group roles of the queue, which one with CREATEROLE has to make.",
    measure="roles that are missing",
    warning=1,
    mend="{commands} and then pgq migrate",
)
def roles(patient: Patient) -> Seen:
    missing = sorted(set(shipped.ROLES) - patient.roles)
    commands = " ".join(f"create role {role} nologin;" for role in missing)
    return several(missing, "all there", form="missing: {}", rows=[{"commands": commands}])


@check(
    "Rights of the roles on verbs, the schema and the columns of pgq.job; and verbs that everybody "
    "may call.",
    measure="rights that are missing or too many",
    critical=1,
    mend=_MIGRATE,
)
def grants(patient: Patient) -> Seen:
    there = patient.routines
    found = [
        f"{role} may not call {name}"
        for name, routine in shipped.routines().items()
        for role in routine.roles
        if name in there and role in patient.roles and role not in there[name]["roles"]
    ]
    found += patient.missing_rights
    found += [f"everybody may call {name}" for name in there if there[name]["is_public"]]
    return several(sorted(found), "as the files grant them")


@check(
    "Triggers of our tables that are switched off: without them jobs are stored and never run.",
    measure="triggers",
    critical=1,
    mend="alter table TABLE enable trigger TRIGGER; then pgq.audit_state() finds what was missed",
)
def triggers(patient: Patient) -> Seen:
    return several(patient.disabled_triggers, "all are on", form="off: {}")


@check(
    "Indexes of our tables that are invalid, as a failed CREATE INDEX or REINDEX CONCURRENTLY "
    "leaves them.",
    measure="indexes",
    critical=1,
    mend="reindex index {index};",
)
def indexes(patient: Patient) -> Seen:
    found = patient.broken_indexes
    return several(
        found, "all are valid", form="invalid: {}", rows=[{"index": name} for name in found]
    )


@check(
    "Partitions for the days to come; without one for its day a job cannot be stored.",
    measure="days that are missing of the next 7",
    warning=4,
    critical=7,
    mend="select pgq.partition();  -- a worker does it by itself",
)
def partitions(patient: Patient) -> Seen:
    ahead = int(patient.health["days_ahead"])
    return Seen(figure=7 - ahead, evidence=f"{ahead} days ahead of today")


@check(
    "Days whose partitions nobody has to keep any longer and that were not dropped: whoever reads "
    "them for long keeps upkeep from it.",
    measure="days",
    warning=2,
    critical=14,
    mend="end the transactions that read them (see old-transactions), then select pgq.prune();",
)
def expired_days(patient: Patient) -> Seen:
    found = [str(row["day"]) for row in patient.days if row["expired"] and not row["is_live"]]
    return several(found, "dropped as they expire", form="still there: {}")


@check(
    "How much of their sequences ids and order numbers have used up. Ids of jobs stay below 2^53, "
    "so that JSON readers keep them exact.",
    measure="share of 1",
    warning=0.5,
    critical=0.9,
    mend="select setval('pgq.{sequence}', …);  -- something set it forward; ask for help first",
)
def sequences(patient: Patient) -> Seen:
    used, worst = max(
        (row["last_value"] / row["most"], row["sequence"]) for row in patient.sequences
    )
    return Seen(
        figure=used, evidence=f"{worst} is at {100 * used:.3g} %", names={"sequence": worst}
    )


@check(
    "Whether the ids' day is today. Upkeep moves it on at midnight; one that is ahead follows a "
    "clock that was set back.",
    measure="days apart",
    warning=1,
    critical=7,
    mend="select pgq.partition();  -- when it is behind; a day ahead passes by itself",
)
def id_day(patient: Patient) -> Seen:
    last = next(r["last_value"] for r in patient.sequences if r["sequence"] == "job_id_seq")
    today = int(patient.health["database_now"].timestamp()) // 86400
    apart = (last >> 32) - today
    which = "today's" if apart == 0 else f"{abs(apart)} days {'ahead' if apart > 0 else 'behind'}"
    return Seen(figure=abs(apart), evidence=f"new ids are {which}")
