"""``studies``: what is here, why it waits, and a person's decisions on it."""

from __future__ import annotations

import click

from kuva_gateway.catalog import studies as catalog_studies
from kuva_gateway.cli import completion
from kuva_gateway.cli.invocation import Group, Invocation, decision, pass_invocation
from kuva_gateway.cli.moments import parse_since
from kuva_gateway.cli.output import emit_json, emit_object, emit_rows, say
from kuva_gateway.dicom.key_objects import QUALITY, RETENTION, SAFETY, WORKLIST
from kuva_gateway.errors import GatewayError, NotFoundError

WITHDRAWALS = {"quality": QUALITY, "safety": SAFETY, "worklist": WORKLIST, "retention": RETENTION}
STATES = ["receiving", "settled", "held", "accepted", "archived", "rejected", "withdrawn", "removed"]


@click.group(cls=Group)
def studies() -> None:
    """Studies: what is here, why it waits, and decisions on it."""


@studies.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only studies in this state.")
@click.option(
    "--rule", metavar="RULE", shell_complete=completion.rules, help="Only studies with a finding by this rule."
)
@click.option("--peer", metavar="NAME", shell_complete=completion.peers, help="Only what this peer sent.")
@click.option("--accession", metavar="A", help="Only this accession number.")
@click.option("--since", metavar="T", help="Only what arrived since a date, a time or an age such as 2h.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True)
@pass_invocation
def list_(
    invocation: Invocation,
    state: str | None,
    rule: str | None,
    peer: str | None,
    accession: str | None,
    since: str | None,
    limit: int,
) -> None:
    """List studies, the newest arrival first."""
    rows = catalog_studies.listing(
        invocation.catalog(),
        state=state,
        rule=rule,
        peer=peer,
        accession=accession,
        since=parse_since(since, invocation.now()),
        limit=limit,
    )
    shown = [
        {**row, "why": ", ".join(sorted({f["rule"] for f in row["findings"] if f["severity"] in ("hold", "refuse")}))}
        for row in rows
    ]
    if invocation.json:
        emit_json(rows)
        return
    emit_rows(
        invocation,
        shown,
        [
            ("study_instance_uid", "study"),
            ("state", "state"),
            ("revision", "rev"),
            ("accession_number", "accession"),
            ("study_date", "date"),
            ("modalities", "modalities"),
            ("procedure_code", "code"),
            ("instances", "instances"),
            ("peer", "peer"),
            ("last_arrival", "last arrival"),
            ("why", "held by"),
        ],
    )


@studies.command("show")
@click.argument("uid")
@pass_invocation
def show(invocation: Invocation, uid: str) -> None:
    """Show one study: its findings with what to do, its documents and its deliveries."""
    emit_object(invocation, catalog_studies.show(invocation.catalog(), uid))


@studies.command("trace")
@click.argument("uid")
@pass_invocation
def trace(invocation: Invocation, uid: str) -> None:
    """Tell a study's whole story, the oldest first."""
    rows = catalog_studies.trace(invocation.catalog(), uid)
    emit_rows(
        invocation, rows, [("at", "at"), ("event", "event"), ("what", "what"), ("by", "by"), ("detail", "detail")]
    )


def _decide(invocation: Invocation, uids: tuple[str, ...], decide: object, done: str) -> int:
    """Apply a decision to each study; a study that refuses does not stop the others, but the exit status is 1."""
    refused = 0
    results = []
    for uid in uids:
        try:
            decide(uid)  # type: ignore[operator]
            results.append({"study_instance_uid": uid, "done": True, "why": None})
        except GatewayError as error:
            refused += 1
            results.append({"study_instance_uid": uid, "done": False, "why": str(error)})
            say(f"kuva-gateway: {uid}: {error}")
    if refused < len(uids):
        invocation.poke()
    if invocation.json:
        emit_json(results)
    else:
        for result in results:
            if result["done"]:
                click.echo(f"{result['study_instance_uid']}: {done}")
    return 1 if refused else 0


@studies.command("release")
@click.argument("uids", nargs=-1, required=True, metavar="UID...")
@decision()
@pass_invocation
def release(invocation: Invocation, uids: tuple[str, ...], by: str, reason: str) -> int:
    """Let held studies go in spite of their findings; holds for their present revision only."""
    from kuva_gateway.parts import destination_plans

    catalog = invocation.catalog()
    plans = destination_plans(invocation.configuration())
    return _decide(
        invocation,
        uids,
        lambda uid: catalog_studies.release(catalog, uid, by=by, reason=reason, destinations=plans),
        "released",
    )


@studies.command("reject")
@click.argument("uids", nargs=-1, required=True, metavar="UID...")
@decision()
@pass_invocation
def reject(invocation: Invocation, uids: tuple[str, ...], by: str, reason: str) -> int:
    """Decide that held studies never go; they are kept, with the reason."""
    catalog = invocation.catalog()
    return _decide(invocation, uids, lambda uid: catalog_studies.reject(catalog, uid, by=by, reason=reason), "rejected")


@studies.command("remove")
@click.argument("uids", nargs=-1, required=True, metavar="UID...")
@decision()
@pass_invocation
def remove(invocation: Invocation, uids: tuple[str, ...], by: str, reason: str) -> int:
    """Remove the files of rejected or withdrawn studies; their rows and history stay."""
    from kuva_gateway.offline import remove_files

    catalog = invocation.catalog()
    status = _decide(
        invocation, uids, lambda uid: catalog_studies.remove_study(catalog, uid, by=by, reason=reason), "removed"
    )
    remove_files(invocation.configuration())
    return status


@studies.command("amend")
@click.argument("uid")
@click.option(
    "--set",
    "settings",
    multiple=True,
    required=True,
    metavar="TAG=@FILE|-",
    help="An attribute, by keyword or number, and where its value is read from: a file or standard input.",
)
@decision()
@pass_invocation
def amend(invocation: Invocation, uid: str, settings: tuple[str, ...], by: str, reason: str) -> None:
    """Change what will be delivered of a study: the received files stay as they are, the study is judged again."""
    from kuva_gateway.cli.values import read_value
    from kuva_gateway.intake.amendments import changes_of, setting

    if sum(one.endswith("=-") for one in settings) > 1:
        raise click.UsageError("only one value can come from standard input")
    wanted = []
    for one in settings:
        name, found, source = one.partition("=")
        if not found:
            raise click.UsageError("--set takes TAG=@FILE or TAG=-")
        wanted.append(setting(name, read_value(source, f"the value for {name}")))
    catalog = invocation.catalog()
    changes = changes_of(catalog, wanted)
    catalog_studies.amend(catalog, uid, changes, by=by, reason=reason)
    invocation.poke()
    if invocation.json:
        emit_json({"study_instance_uid": uid, "amended": sorted(changes)})
    else:
        click.echo(f"{uid}: amended ({', '.join(sorted(changes))}); it will be judged again")


@studies.command("recheck")
@click.argument("uids", nargs=-1, metavar="UID...")
@click.option("--all", "everything", is_flag=True, help="Every held study.")
@pass_invocation
def recheck(invocation: Invocation, uids: tuple[str, ...], everything: bool) -> int:
    """Judge studies again with today's documents, codes and rules."""
    if everything == bool(uids):
        raise click.UsageError("name studies, or give --all")
    catalog = invocation.catalog()
    if everything:
        count = catalog_studies.recheck(catalog, None)
        invocation.poke()
        if invocation.json:
            emit_json({"studies": count})
        else:
            click.echo(f"{count} studies will be judged again")
        return 0

    def one(uid: str) -> None:
        if not catalog_studies.recheck(catalog, [uid]):
            raise NotFoundError("no study with this UID can be judged again")

    return _decide(invocation, uids, one, "will be judged again")


@studies.command("dismiss")
@click.argument("uids", nargs=-1, required=True, metavar="UID...")
@decision()
@pass_invocation
def dismiss(invocation: Invocation, uids: tuple[str, ...], by: str, reason: str) -> int:
    """Decide that the rejection notes which wait in studies go nowhere; the studies are judged again."""
    from kuva_gateway.catalog import rejections

    catalog = invocation.catalog()
    return _decide(
        invocation, uids, lambda uid: rejections.dismiss(catalog, uid, by=by, reason=reason), "its notes go nowhere"
    )


@studies.command("withdraw")
@click.argument("uid")
@click.option("--why", required=True, type=click.Choice(list(WITHDRAWALS)), help="The rejection note's title.")
@decision()
@pass_invocation
def withdraw(invocation: Invocation, uid: str, why: str, by: str, reason: str) -> None:
    """Take a study back: hide it here, and tell the destinations that have it by a rejection note."""
    from kuva_gateway.catalog.withdrawal import withdraw as withdraw_study
    from kuva_gateway.dicom.uids import new_uid
    from kuva_gateway.parts import make_note

    code, note_uid = WITHDRAWALS[why], new_uid()
    done = withdraw_study(
        invocation.catalog(),
        uid,
        code=code,
        by=by,
        reason=reason,
        note_uid=note_uid,
        make_note=make_note(invocation.configuration(), code, note_uid, invocation.now()),
    )
    invocation.poke()
    result = {
        "study_instance_uid": uid,
        "instances": done.instances,
        "note": done.note_uid if done.destinations else None,
        "destinations": list(done.destinations),
    }
    if invocation.json:
        emit_json(result)
    elif done.destinations:
        click.echo(f"{uid}: withdrawn; the rejection note {note_uid} goes to {', '.join(done.destinations)}")
    else:
        click.echo(f"{uid}: withdrawn; nothing of it was delivered, so nobody has to be told")
