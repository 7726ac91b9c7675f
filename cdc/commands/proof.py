"""``millrace cdc verify`` and ``repair``: prove that the copies are equal, and make them so."""

import json
from typing import Any

import typer
from rich.table import Table

from cdc.commands.base import AsJson, Sources, Tables, app, clear_errors, console
from cdc.commands.progress import stages
from cdc.repair import MendedDocuments, MendedTable, repair_documents, repair_tables
from cdc.verify import DocumentProof, TableProof, verify_documents, verify_tables


@app.command()
def verify(tables: Tables = None, source: Sources = None, as_json: AsJson = False) -> None:
    """Compare every captured table and document with its copy, by content; exit status 1 when one differs."""
    with clear_errors(), stages() as say:
        copies = verify_tables(source, tables, say=say)
        documents = verify_documents(source) if tables is None else []
    equal = all(proof.equal for proof in copies) and all(proof.equal for proof in documents)
    if as_json:
        rows = {"tables": [_table(p) for p in copies], "documents": [_document(p) for p in documents]}
        typer.echo(json.dumps(rows | {"equal": equal}))
    else:
        _show(copies, documents)
    if not equal:
        raise typer.Exit(1)


@app.command()
def repair(tables: Tables = None, source: Sources = None, as_json: AsJson = False) -> None:
    """Verify, copy again only what differs, end what the source no longer has, and verify that again.

    Exit status 1 when something still differs afterwards.
    """
    with clear_errors():
        # A bar and a status line cannot share the terminal; a whole table that is copied shows itself in lines.
        with stages() as say:
            mended = repair_tables(source, tables, say=say, progress=lambda *at: say(at[0], f"{at[1]:,} rows copied"))
        documents = repair_documents(source) if tables is None else []
    equal = all(each.proof.equal for each in mended) and all(each.proof.equal for each in documents)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "tables": [_mended_table(each) for each in mended],
                    "documents": [_mended_document(each) for each in documents],
                    "mended": sum(each.differing for each in mended) + sum(each.differing for each in documents),
                    "equal": equal,
                }
            )
        )
    else:
        _show([each.proof for each in mended], [each.proof for each in documents])
        for line in [*map(_table_line, mended), *map(_document_line, documents)]:
            if line:
                console.print(line)
    if not equal:
        raise typer.Exit(1)


def _table(proof: TableProof) -> dict[str, Any]:
    return {
        "table": f"{proof.source}.{proof.table}",
        "rows": proof.rows_source,
        "lsn": proof.lsn,
        "differing": proof.differing,
        "keys": [list(key) for key in proof.differing_keys],
        "parked": proof.parked,
        "clamped": proof.clamped,
        "equal": proof.equal,
    }


def _document(proof: DocumentProof) -> dict[str, Any]:
    return {
        "index": proof.index,
        "rows": proof.rows,
        "lsn": proof.lsn,
        "differing": proof.differing,
        "keys": list(proof.keys),
        "equal": proof.equal,
    }


def _mended_table(each: MendedTable) -> dict[str, Any]:
    done = {"differed": each.differing, "copied": each.copied, "ended": each.ended, "resynced": each.resynced}
    return _table(each.proof) | done


def _mended_document(each: MendedDocuments) -> dict[str, Any]:
    return _document(each.proof) | {"differed": each.differing, "rebuilt": each.rebuilt}


def _table_line(each: MendedTable) -> str:
    if not each.differing:
        return ""
    how = "copied whole: " if each.resynced else ""
    return (
        f"{each.proof.source}.{each.proof.table}: {each.differing:,} keys differed; {how}"
        f"{each.copied:,} rows copied again, {each.ended:,} ended"
    )


def _document_line(each: MendedDocuments) -> str:
    return (
        f"index {each.proof.index}: {each.differing:,} documents differed and were written anew"
        if each.differing
        else ""
    )


def _show(copies: list[TableProof], documents: list[DocumentProof]) -> None:
    shown = Table("table or index", "rows", "differing", "equal")
    for copy in copies:
        shown.add_row(f"{copy.source}.{copy.table}", str(copy.rows_source), str(copy.differing), _word(copy.equal))
    for document in documents:
        shown.add_row(f"index {document.index}", str(document.rows), str(document.differing), _word(document.equal))
    console.print(shown)
    for copy in copies:
        for key in copy.differing_keys:
            console.print(f"{copy.source}.{copy.table}: differs at key {', '.join(key)}")
    for document in documents:
        for identifier in document.keys:
            console.print(f"index {document.index}: differs at document {identifier}")


def _word(equal: bool) -> str:
    return "yes" if equal else "NO"
