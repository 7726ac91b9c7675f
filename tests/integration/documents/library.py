"""A library whose documents are trees of four levels: composite keys, a table of links, renamed, joined and folded columns.

`changed` makes one random change at any level; `wanted` says what every document should be, by plain SQL that shares nothing with
the engine's.
"""

import random
from collections.abc import Callable
from typing import Any

import psycopg

TABLES = """
CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE cities (id int PRIMARY KEY, country text NOT NULL REFERENCES countries, name text NOT NULL);
CREATE TABLE publishers (id int PRIMARY KEY, city_id int REFERENCES cities ON DELETE SET NULL, name text NOT NULL);
CREATE TABLE books (
    shelf text, number int, publisher_id int REFERENCES publishers ON DELETE SET NULL, title text NOT NULL, subtitle text,
    PRIMARY KEY (shelf, number));
CREATE INDEX ON books (publisher_id);
CREATE TABLE authors (id int PRIMARY KEY, name text NOT NULL, born int);
CREATE TABLE writes (
    id int PRIMARY KEY, author_id int NOT NULL REFERENCES authors ON DELETE CASCADE, book_number int NOT NULL,
    book_shelf text NOT NULL, UNIQUE (author_id, book_shelf, book_number),
    FOREIGN KEY (book_shelf, book_number) REFERENCES books ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE awards (id int PRIMARY KEY, author_id int NOT NULL REFERENCES authors ON DELETE CASCADE, name text NOT NULL);
CREATE TABLE jurors (id int PRIMARY KEY, award_id int NOT NULL REFERENCES awards ON DELETE CASCADE, name text NOT NULL);
CREATE TABLE chapters (
    shelf text, number int, chapter int, heading text NOT NULL, PRIMARY KEY (shelf, number, chapter),
    FOREIGN KEY (shelf, number) REFERENCES books ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE notes (
    id int PRIMARY KEY, shelf text NOT NULL, number int NOT NULL, chapter int NOT NULL, body text NOT NULL,
    FOREIGN KEY (shelf, number, chapter) REFERENCES chapters ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE replies (id int PRIMARY KEY, note_id int NOT NULL REFERENCES notes ON DELETE CASCADE, body text NOT NULL);
ALTER TABLE countries REPLICA IDENTITY FULL; ALTER TABLE cities REPLICA IDENTITY FULL;
ALTER TABLE publishers REPLICA IDENTITY FULL; ALTER TABLE writes REPLICA IDENTITY FULL;
ALTER TABLE awards REPLICA IDENTITY FULL; ALTER TABLE jurors REPLICA IDENTITY FULL;
ALTER TABLE notes REPLICA IDENTITY FULL; ALTER TABLE replies REPLICA IDENTITY FULL;
"""

DOCUMENTS = """
documents:
  - index: library
    nodes:
      table: books
      columns: [shelf, number, title]
      transform:
        rename: {number: place}
        concat: {columns: [title, subtitle, shelf], destination: line, delimiter: ": "}
      children:
        - table: publishers
          label: publisher
          columns: [name]
          relationship: {type: one_to_one}
          children:
            - table: cities
              label: city
              columns: [name]
              relationship: {type: one_to_one}
              children:
                - {table: countries, label: country, columns: [name], relationship: {type: one_to_one, variant: scalar}}
        - table: authors
          columns: [id, name]
          transform: {fold: {name: name_folded}}
          relationship: {type: one_to_many, through_tables: [writes]}
          children:
            - table: awards
              columns: [name]
              relationship: {type: one_to_many}
              children: [{table: jurors, columns: [name], relationship: {type: one_to_many, variant: scalar}}]
        - table: chapters
          columns: [chapter, heading]
          relationship: {type: one_to_many}
          children:
            - table: notes
              columns: [id, body]
              relationship: {type: one_to_many}
              children: [{table: replies, columns: [body], relationship: {type: one_to_many, variant: scalar}}]
    mapping:
      shelf: {type: keyword}
      place: {type: integer}
      title: {type: text}
      line: {type: text}
      publisher:
        properties:
          name: {type: keyword}
          city: {properties: {name: {type: keyword}, country: {type: keyword}}}
      authors:
        properties:
          id: {type: integer}
          name: {type: text}
          name_folded: {type: text}
          awards: {properties: {name: {type: text}, jurors: {type: keyword}}}
      chapters:
        properties:
          chapter: {type: integer}
          heading: {type: text}
          notes: {properties: {id: {type: integer}, body: {type: text}, replies: {type: text}}}
"""

_WANTED = """
WITH r AS (SELECT note_id, json_agg(body ORDER BY id) AS list FROM replies GROUP BY note_id),
n AS (SELECT shelf, number, chapter, json_agg(json_build_object('id', id, 'body', body, 'replies', coalesce(r.list, '[]'))
        ORDER BY id) AS list FROM notes LEFT JOIN r ON note_id = id GROUP BY 1, 2, 3),
c AS (SELECT shelf, number, json_agg(json_build_object('chapter', chapter, 'heading', heading, 'notes', coalesce(n.list, '[]'))
        ORDER BY chapter) AS list FROM chapters LEFT JOIN n USING (shelf, number, chapter) GROUP BY 1, 2),
j AS (SELECT award_id, json_agg(name ORDER BY id) AS list FROM jurors GROUP BY 1),
w AS (SELECT author_id, json_agg(json_build_object('name', name, 'jurors', coalesce(j.list, '[]')) ORDER BY id) AS list
      FROM awards LEFT JOIN j ON award_id = id GROUP BY 1),
a AS (SELECT book_shelf, book_number, json_agg(json_build_object('id', authors.id, 'name', name, 'name_folded',
        translate(lower(name), 'éüø', 'euo'), 'awards', coalesce(w.list, '[]')) ORDER BY authors.id) AS list
      FROM writes JOIN authors ON authors.id = writes.author_id LEFT JOIN w ON w.author_id = authors.id GROUP BY 1, 2)
SELECT shelf, number, json_build_object('shelf', shelf, 'place', number, 'title', title,
  'line', title || coalesce(': ' || subtitle, '') || ': ' || shelf,
  'publisher', CASE WHEN p.id IS NOT NULL THEN json_build_object('name', p.name, 'city', CASE WHEN t.id IS NOT NULL THEN
      json_build_object('name', t.name, 'country', k.name) END) END,
  'authors', coalesce(a.list, '[]'), 'chapters', coalesce(c.list, '[]'))
FROM books LEFT JOIN publishers p ON p.id = publisher_id LEFT JOIN cities t ON t.id = p.city_id
LEFT JOIN countries k ON k.code = t.country LEFT JOIN a ON (book_shelf, book_number) = (shelf, number)
LEFT JOIN c USING (shelf, number)
"""

SHELVES, BOOKS, OTHERS = "abc", 40, 25

_BOOK = "(SELECT shelf, number FROM books ORDER BY md5(shelf || number || {0}) LIMIT 1)"
_NEW: dict[str, str] = {
    "countries": "INSERT INTO countries VALUES ('c{0}', 'é{1}')",
    "cities": "INSERT INTO cities SELECT {0}, code, 'city {1}' FROM countries ORDER BY md5(code || {1}) LIMIT 1",
    "publishers": "INSERT INTO publishers SELECT {0}, (SELECT id FROM cities ORDER BY md5(id || '{1}') LIMIT 1), 'house {1}'",
    "books": "INSERT INTO books SELECT '{2}', {0}, (SELECT id FROM publishers ORDER BY md5(id || '{1}') LIMIT 1), 'title {1}',"
    " CASE WHEN {1} % 2 = 0 THEN 'sub' END",
    "authors": "INSERT INTO authors VALUES ({0}, 'Ünø É {1}', {1})",
    "writes": "INSERT INTO writes SELECT {0}, a.id, b.number, b.shelf FROM (SELECT id FROM authors ORDER BY md5(id || '{1}')"
    " LIMIT 1) a, " + _BOOK.format("'{1}'") + " b",
    "awards": "INSERT INTO awards SELECT {0}, id, 'award {1}' FROM authors ORDER BY md5(id || '{1}') LIMIT 1",
    "jurors": "INSERT INTO jurors SELECT {0}, id, 'juror {1}' FROM awards ORDER BY md5(id || '{1}') LIMIT 1",
    "chapters": "INSERT INTO chapters SELECT shelf, number, {0}, 'heading {1}' FROM " + _BOOK.format("'{1}'") + " b",
    "notes": "INSERT INTO notes SELECT {0}, shelf, number, chapter, 'note {1}' FROM chapters"
    " ORDER BY md5(shelf || number || chapter || '{1}') LIMIT 1",
    "replies": "INSERT INTO replies SELECT {0}, id, 'reply {1}' FROM notes ORDER BY md5(id || '{1}') LIMIT 1",
}
_CHANGE: dict[str, str] = {
    "countries": "UPDATE countries SET name = 'name {1}' WHERE code = 'c{0}'",
    "cities": "UPDATE cities SET name = 'city {1}', country = coalesce((SELECT code FROM countries ORDER BY md5(code || '{1}')"
    " LIMIT 1), country) WHERE id = {0}",
    "publishers": "UPDATE publishers SET name = 'house {1}', city_id = (SELECT id FROM cities ORDER BY md5(id || '{1}') LIMIT 1)"
    " WHERE id = {0}",
    "books": "UPDATE books SET title = 'title {1}', publisher_id = (SELECT id FROM publishers ORDER BY md5(id || '{1}') LIMIT 1),"
    " number = CASE WHEN {1} % 5 = 0 THEN number + 1000 * (1 + {1} % 7) ELSE number END WHERE (shelf, number) = ('{2}', {0})",
    "authors": "UPDATE authors SET name = 'Éva Ø {1}', born = {1} WHERE id = {0}",
    "writes": "UPDATE writes SET (book_shelf, book_number) = " + _BOOK.format("'{1}'") + " WHERE id = {0}",
    "awards": "UPDATE awards SET name = 'award {1}', author_id = (SELECT id FROM authors ORDER BY md5(id || '{1}') LIMIT 1)"
    " WHERE id = {0}",
    "jurors": "UPDATE jurors SET name = 'juror {1}', award_id = (SELECT id FROM awards ORDER BY md5(id || '{1}') LIMIT 1)"
    " WHERE id = {0}",
    "chapters": "UPDATE chapters SET heading = 'heading {1}', (shelf, number) = "
    + _BOOK.format("'{1}'")
    + " WHERE chapter = {0} AND shelf = '{2}'",
    "notes": "UPDATE notes SET body = 'note {1}', (shelf, number, chapter) = (SELECT shelf, number, chapter FROM chapters"
    " ORDER BY md5(shelf || number || chapter || '{1}') LIMIT 1) WHERE id = {0}",
    "replies": "UPDATE replies SET body = 'reply {1}', note_id = (SELECT id FROM notes ORDER BY md5(id || '{1}') LIMIT 1)"
    " WHERE id = {0}",
}
_END: dict[str, str] = {
    table: f"DELETE FROM {table} WHERE {column}"
    for table, column in {
        "countries": "code = 'c{0}' AND NOT EXISTS (SELECT FROM cities WHERE country = code)",
        "books": "(shelf, number) = ('{2}', {0})",
        "chapters": "chapter = {0} AND shelf = '{2}'",
    }.items()
} | {
    table: f"DELETE FROM {table} WHERE id = {{0}}" for table in _NEW if table not in ("countries", "books", "chapters")
}


def filled(database: psycopg.Connection[Any], chance: random.Random) -> None:
    """Rows at every level to begin with."""
    for table, statement in _NEW.items():
        for number in range(1, (BOOKS if table in ("books", "writes", "chapters", "notes") else OTHERS) + 1):
            _tried(database, [_statement(statement, number, chance)])


def changed(database: psycopg.Connection[Any], chance: random.Random) -> None:
    """One transaction of one to three changes: rows come, go, move to another parent, at any level."""
    statements = []
    for _ in range(chance.randint(1, 3)):
        kinds = chance.choice((_NEW, _CHANGE, _CHANGE, _END))
        statements.append(_statement(kinds[chance.choice(list(_NEW))], chance.randint(1, BOOKS), chance))
    _tried(database, statements)


def wanted(database: psycopg.Connection[Any], identifier: Callable[[tuple[str, ...]], str]) -> dict[str, Any]:
    """What every document should be now, by its id."""
    return {identifier((shelf, str(number))): body for shelf, number, body in database.execute(_WANTED.encode())}


def _statement(template: str, number: int, chance: random.Random) -> str:
    return template.format(number, chance.randrange(1_000_000), chance.choice(SHELVES))


def _tried(database: psycopg.Connection[Any], statements: list[str]) -> None:
    """Run the statements in one transaction, or none of them where the database refuses one: a key that is there already."""
    try:
        with database.transaction():
            for statement in statements:
                database.execute(statement.encode())
    except (psycopg.errors.IntegrityError, psycopg.errors.CardinalityViolation):
        return
