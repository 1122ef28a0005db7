"""Every format that others send, made from what it means: it is read as it was meant, wherever it is cut or damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuva_gateway.clinical.adt import PatientIdentifier, read_adt
from kuva_gateway.clinical.authorizations import parse_authorization
from kuva_gateway.clinical.code_list import read_code_list
from kuva_gateway.clinical.documents import explain_document, parse_document
from kuva_gateway.config import parse
from kuva_gateway.errors import ConfigurationError
from kuva_gateway.network import AcceptedContext, Answer, ConnectionLost, Limits, Timers, commands, negotiation
from kuva_gateway.network.allowance import Allowance
from kuva_gateway.network.stream import PduStream
from kuva_gateway.network.wire import Wire
from tests.strategies import EXAMPLES
from tests.strategies.configurations import configurations
from tests.strategies.network import Proposed, Sent, command_sets, proposals, sent_messages
from tests.strategies.papers import (
    Listed,
    Person,
    adt_messages,
    authorizations,
    code_lists,
    code_pages,
    imaging_documents,
)
from tests.unit.network.test_stream import Script

HERE = Path("/etc/kuva/kuva-gateway.yaml")
CONTEXT = AcceptedContext(id=1, abstract_syntax="1.2", transfer_syntax="1.2.3", scu=True, scp=True)
each = pytest.mark.parametrize("examples", EXAMPLES)


@each
def test_a_command_set_is_read_as_it_was_written(examples: settings) -> None:
    @examples
    @given(command_sets())
    def holds(command: commands.Command) -> None:
        assert commands.decode(commands.encode(command)) == command

    holds()


@each
def test_messages_come_whole_however_they_are_cut(examples: settings) -> None:
    @examples
    @given(sent_messages())
    def holds(sent: Sent) -> None:
        transport: Any = Script(*sent.pieces)
        stream = PduStream(transport, Limits())
        wire = Wire(transport, stream, contexts={1: CONTEXT}, room=16378, timers=Timers(), limits=Limits())
        for command, data in sent.messages:
            context, read, allowance = wire.read_command(Allowance("idle", 60))
            assert (context, read) == (CONTEXT, command)
            if data is not None:
                assert wire.collect_data_set(context, allowance) == data
        with pytest.raises(ConnectionLost):
            wire.read_command(Allowance("idle", 60))
        stream.release()

    holds()


@each
def test_both_sides_of_a_negotiation_agree(examples: settings) -> None:
    @examples
    @given(proposals(), st.data())
    def holds(proposed: Proposed, data: st.DataObject) -> None:
        body = negotiation.request_bytes(
            called_ae="CALLED", calling_ae="CALLING", contexts=proposed.contexts, roles=proposed.roles,
            length=proposed.length, extended=proposed.extended,
        )[6:]  # fmt: skip
        read = negotiation.read_items(body, accept=False)
        assert (list(read.contexts), read.roles) == (proposed.contexts, proposed.roles)
        assert (read.extended, read.maximum_length) == (proposed.extended, proposed.length)
        choices = st.none() | st.integers(0, 3)
        chosen = {one.id: data.draw(choices) for one in read.contexts}
        answers = {
            one.id: Answer(result=3) if (place := chosen[one.id]) is None
            else Answer(transfer_syntax=one.transfer_syntaxes[place % len(one.transfer_syntaxes)], extended=b"\1")
            for one in read.contexts
        }  # fmt: skip
        ours, roles, extended = negotiation.agree_as_acceptor(read.contexts, read, answers)
        reply = negotiation.accept_bytes(body, answers, roles=roles, length=0, identity=None, extended=extended)
        theirs = negotiation.agree_as_requestor(
            proposed.contexts, proposed.roles, negotiation.read_items(reply[6:], accept=True)
        )
        assert {number: one.transfer_syntax for number, one in ours.items()} == {
            number: one.transfer_syntax for number, one in theirs.items()
        }
        assert {number: (one.scp, one.extended) for number, one in ours.items()} == {
            number: (one.scu, one.extended) for number, one in theirs.items()
        }

    holds()


@each
def test_a_document_is_read_as_it_was_meant(examples: settings) -> None:
    @examples
    @given(imaging_documents())
    def holds(made: tuple[dict[str, Any], bytes]) -> None:
        facts, data = made
        read = parse_document(data)
        assert (read.oid, read.set_id, read.version) == (facts["oid"], facts["set_id"], facts["version"])
        assert (read.kind, read.patient_id) == (facts["kind"], facts["hetu"])
        assert read.replaces == ((facts["replaces"],) if facts["replaces"] else ())
        assert read.ready == (facts["record_status"] == "3")
        assert not facts["study_uid"] or facts["study_uid"] in read.study_uids
        assert [one for _, one in read.accessions] == ([facts["accession"].strip()] if facts["accession"] else [])
        assert read.procedure_codes == ((facts["code"],) if facts["code"] else ())
        assert {one.value for one in explain_document(data) if one.field == "oid"} == {read.oid}

    holds()


@each
def test_an_authorization_is_read_as_it_was_meant(examples: settings) -> None:
    @examples
    @given(authorizations())
    def holds(made: tuple[dict[str, Any], bytes]) -> None:
        facts, data = made
        read = parse_authorization(data)
        assert (read.oid, read.version, read.patient_id) == (facts["oid"], facts["version"], facts["patient"])
        assert (f"{read.valid_from:%Y%m%d}", f"{read.valid_to:%Y%m%d}") == facts["valid"]
        assert read.service_events == facts["events"]
        assert (read.search.code if read.search else "") == facts["search"]
        assert read.kind == ("patient" if facts["patient"] else "population")

    holds()


@each
def test_a_code_list_is_read_as_it_was_meant_and_bad_lines_are_told(examples: settings) -> None:
    @examples
    @given(code_lists() | code_pages())
    def holds(listed: Listed) -> None:
        read = read_code_list("codes", listed.data)
        assert list(read.periods) == listed.periods
        assert [one.line for one in read.bad] == listed.bad

    holds()


@each
def test_a_message_about_patients_is_read_as_it_was_meant(examples: settings) -> None:
    @examples
    @given(adt_messages())
    def holds(made: tuple[str, str, list[Person], bytes]) -> None:
        event, hetu, people, data = made
        read = read_adt(data)
        assert (read.event, len(read.identities)) == (event, len(people))
        for identity, person in zip(read.identities, people, strict=True):
            assert identity.patient == PatientIdentifier(hetu, "1.2.246.21")
            assert (identity.name, identity.birth_date, identity.sex) == (person.name, person.birth_date, person.sex)
            old = [PatientIdentifier(value.strip(), issuer) for value, issuer in person.old]
            assert list(identity.replaced) == old

    holds()


@each
def test_a_configuration_is_read_as_it_was_meant_and_an_unknown_key_has_its_line(examples: settings) -> None:
    @examples
    @given(configurations(), st.integers(0, 3))
    def holds(made: tuple[list[str], dict[str, Any]], where: int) -> None:
        lines, meant = made
        read = parse("\n".join(lines), HERE)
        for key, value in meant.items():
            found: Any = read
            for part in key.split("."):
                found = found[int(part)] if part.isdigit() else getattr(found, part)
            assert found == value, key
        with pytest.raises(ConfigurationError) as caught:
            parse("\n".join([*lines[:where], "nobody_knows: 1", *lines[where:]]), HERE)
        assert [str(one) for one in caught.value.problems] == [f"line {where + 1}: nobody_knows: unknown key"]

    holds()
