"""The judge of the documents: what plain SQL says each should be, beside what Elasticsearch holds. It shares nothing with the
documents' own reading and verification."""

import hashlib
import json
from typing import Any

import psycopg
from elasticsearch import Elasticsearch, helpers

from bench.chaos.oracle import Judgement

TREE = """
documents:
  - index: {index}
    nodes:
      table: accounts
      columns: [id, owner, balance]
      children:
        - table: lines
          columns: [line, amount]
          relationship: {{type: one_to_many, foreign_key: {{parent: [id], child: [account]}}}}
    mapping:
      id: {{type: long}}
      owner: {{type: keyword}}
      balance: {{type: double}}
      lines: {{properties: {{line: {{type: integer}}, amount: {{type: double}}}}}}
"""

_WANTED = """
SELECT a.id::text, jsonb_build_object('id', a.id, 'owner', a.owner, 'balance', a.balance, 'lines', coalesce(
    (SELECT jsonb_agg(jsonb_build_object('line', l.line, 'amount', l.amount) ORDER BY l.line) FROM lines l WHERE l.account = a.id),
    '[]'))
FROM accounts a
"""


def judge_documents(source: psycopg.Connection[Any], client: Elasticsearch, index: str) -> Judgement:
    """Compare every document with its root and lines; both sides must stand still."""
    client.indices.refresh(index=index)
    there = {hit["_id"]: _digest(hit["_source"]) for hit in helpers.scan(client, index=index, size=5000)}
    rows = lost = different = 0
    examples: list[str] = []
    with source.transaction(), source.cursor("documents") as cursor:
        cursor.itersize = 10_000
        cursor.execute(_WANTED)
        for identifier, document in cursor:
            rows += 1
            found = there.pop(identifier, None)
            if found is None:
                lost += 1
                examples.append(f"lost {identifier}")
            elif found != _digest(document):
                different += 1
                examples.append(f"{identifier} should be {document}")
    examples += [f"extra {identifier}" for identifier in there]
    return Judgement(index, rows, lost, 0, different + len(there), tuple(examples[:10]))


def _digest(document: dict[str, Any]) -> bytes:
    return hashlib.blake2b(json.dumps(document, sort_keys=True).encode(), digest_size=16).digest()
