"""How the database is reached, and with what settings."""

from __future__ import annotations

from pgq.doctor.check import Seen, amount, check, several
from pgq.doctor.patient import Patient


@check(
    "Files with a password in them that everybody on this machine may read.",
    measure="files",
    warning=1,
    mend="chmod o-rwx {files}",
)
def files(patient: Patient) -> Seen:
    found = patient.exposed_files
    return several(
        found,
        "no password lies open",
        form="{} may be read by others",
        rows=[{"files": " ".join(found)}],
    )


@check("Whether the database answers.", measure="1 when it does not", critical=1, mend="pgq config")
def connection(patient: Patient) -> Seen:
    why = patient.why_unreachable
    return Seen(
        figure=why is not None, evidence=why or f"server {patient.server['version']} answers"
    )


@check(
    "Whether it is the primary: a standby takes no writes.",
    measure="1 for a standby",
    critical=1,
    mend="set DATABASE_URL to the primary, or add target_session_attrs=read-write to it",
)
def primary(patient: Patient) -> Seen:
    is_standby = bool(patient.server["is_standby"])
    return Seen(figure=is_standby, evidence="a standby" if is_standby else "the primary")


@check(
    "Whether the way to a server on another machine is encrypted.",
    measure="1 when it is not",
    warning=1,
    mend="add sslmode=verify-full to DATABASE_URL",
)
def tls(patient: Patient) -> Seen:
    is_open = not (patient.is_local or patient.is_encrypted)
    way = "encrypted" if patient.is_encrypted else "not encrypted"
    where = "on this machine" if patient.is_local else f"at {patient.host}"
    return Seen(figure=is_open, evidence=f"the server is {where}, the connection {way}")


@check(
    "Whether notifications arrive. LISTEN through a pooler in transaction mode gives no error and "
    "hears nothing; jobs are then found by polling.",
    measure="1 when they do not",
    warning=1,
    mend="set PGQ_LISTEN_URL to a connection that goes past the pooler",
)
def listen(patient: Patient) -> Seen:
    heard = patient.echo
    return Seen(
        figure=not heard,
        evidence="a notification was heard" if heard else "a session that listened heard nothing",
    )


@check(
    "Timeouts of the role behind a pooler, which passes none on: without statement_timeout and "
    "idle_in_transaction_session_timeout a session that hangs holds its locks for good.",
    measure="timeouts that are off",
    warning=1,
    mend="alter role {role} set statement_timeout = '30s'; "
    "alter role {role} set idle_in_transaction_session_timeout = '60s';",
)
def pooler_timeouts(patient: Patient) -> Seen:
    if not patient.is_pooled:
        return Seen(figure=0, evidence="no pooler; sessions set their own")
    names = ("statement_timeout", "idle_in_transaction_session_timeout")
    off = [name for name in names if patient.server_settings[name] == "0"]
    return several(
        off, "set behind the pooler", form="off behind the pooler: {}", rows=[patient.server]
    )


@check(
    "How far this machine's clock and the database's are apart. The queue goes by the database's; "
    "a run_at that a client works out by its own clock is off by as much.",
    measure="seconds",
    warning=2,
    critical=60,
    mend="timedatectl set-ntp true  # on the machine whose clock is wrong",
)
def clock(patient: Patient) -> Seen:
    skew = patient.clock_skew
    which = "ahead of" if skew > 0 else "behind"
    return Seen(
        figure=abs(skew), evidence=f"this machine is {amount(abs(skew))} {which} the database"
    )
