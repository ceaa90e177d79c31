"""The SQL of an offboarding. Records are dealt by the remainder of their keys."""

from typing import NamedTuple

# More records than these are moved in chunks of as many.
CHUNK = 1000

TABLES = {"contact": ("contacts", ""), "lead": ("leads", ""), "task": ("tasks", "AND status = 'pending'")}

# Two jobs that share a user take the locks in one order.
LOCK = """
SELECT CASE WHEN id = %(leaver)s THEN pg_advisory_xact_lock(id) ELSE pg_advisory_xact_lock_shared(id) END
FROM (SELECT DISTINCT id FROM unnest(%(people)s::bigint[]) AS id ORDER BY id) s
"""

ACCEPT = """
INSERT INTO peer.jobs (id, leaver) VALUES (%(job)s, %(leaver)s) ON CONFLICT DO NOTHING RETURNING id
"""

FACTS = """
SELECT (SELECT role = 'admin' AND status = 'active' FROM users WHERE id = %(by)s AND org_id = %(org)s),
  (SELECT status = 'active' FROM users WHERE id = %(leaver)s AND org_id = %(org)s),
  (SELECT count(*) FROM users WHERE id = ANY(%(successors)s::bigint[]) AND org_id = %(org)s AND status = 'active'),
""" + " + ".join(
    f"(SELECT count(*) FROM (SELECT FROM {table} WHERE owner_id = %(leaver)s {where} LIMIT {CHUNK + 1}) s)"
    for table, where in TABLES.values()
)

LOCK_OUT = "UPDATE users SET status = 'inactive', updated_at = now() WHERE id = %(leaver)s AND status = 'active'"

FREE_LICENSE = "UPDATE licenses SET user_id = NULL WHERE user_id = %(leaver)s"

PURGE = """
WITH gone AS (DELETE FROM tasks WHERE owner_id = %(leaver)s AND status = 'completed' RETURNING *)
INSERT INTO peer.copies (job, kind, row) SELECT %(job)s, 'completed_task', to_jsonb(gone) FROM gone
"""

# Leavers who follow each other delete the same rows: all lock them in the order of their keys.
UNFOLLOW = """
WITH mine AS (
  SELECT follower_id, followed_id FROM follows WHERE follower_id = %(leaver)s OR followed_id = %(leaver)s
  ORDER BY follower_id, followed_id FOR UPDATE
), gone AS (
  DELETE FROM follows f USING mine m WHERE f.follower_id = m.follower_id AND f.followed_id = m.followed_id RETURNING f.*
)
INSERT INTO peer.copies (job, kind, row) SELECT %(job)s, 'follow', to_jsonb(gone) FROM gone
"""

CUT = """
INSERT INTO peer.chunks (job, kind, number, first, last)
SELECT %(job)s, '{kind}', (rank - 1) / {chunk}, min(id), max(id)
FROM (SELECT id, row_number() OVER (ORDER BY id) AS rank FROM {table} WHERE owner_id = %(leaver)s {where}) s GROUP BY 3
RETURNING kind, number
"""

MOVE = """
WITH moved AS (
  UPDATE {table} SET owner_id = (%({kind})s::bigint[])[1 + id %% cardinality(%({kind})s::bigint[])], updated_at = now()
  WHERE owner_id = %(leaver)s {where} RETURNING id, owner_id
)
INSERT INTO peer.journal (job, kind, from_user, to_user, keys)
SELECT %(job)s, '{kind}', %(leaver)s, owner_id, array_agg(id) FROM moved GROUP BY owner_id
"""

CLOSE_CHUNK = """
UPDATE peer.chunks SET is_moved = true WHERE job = %(job)s AND kind = %(kind)s AND number = %(number)s AND NOT is_moved
RETURNING first, last
"""

IS_LAST = "SELECT NOT EXISTS (SELECT FROM peer.chunks WHERE job = %(job)s AND NOT is_moved)"

# The certificate: what still points at the leaver.
COMPLETE = """
UPDATE peer.jobs SET completed_at = now(), left_over =
  (SELECT count(*) FROM contacts WHERE owner_id = %(leaver)s) + (SELECT count(*) FROM leads WHERE owner_id = %(leaver)s) +
  (SELECT count(*) FROM tasks WHERE owner_id = %(leaver)s) + (SELECT count(*) FROM licenses WHERE user_id = %(leaver)s)
WHERE id = %(job)s AND completed_at IS NULL
"""

COMPLETE_WITH_FOLLOWS = COMPLETE.replace(
    "\nWHERE id",
    " +\n  (SELECT count(*) FROM follows WHERE follower_id = %(leaver)s OR followed_id = %(leaver)s)\nWHERE id",
)

IS_COMPLETED = "SELECT completed_at IS NOT NULL FROM peer.jobs WHERE id = %(job)s"

TOTALS = """
SELECT to_user, kind, sum(cardinality(keys))::bigint FROM peer.journal WHERE job = %(job)s GROUP BY to_user, kind
"""

OPEN_CHUNKS = "SELECT kind, number FROM peer.chunks WHERE job = %(job)s AND NOT is_moved"


class Started(NamedTuple):
    """What is left to do after the first transaction of a job."""

    is_completed: bool
    totals: list
    chunks: list


def start(connection, request, has_follows):
    """Accepts a request once. Completes a small job, or cuts a large one into chunks. A repeated request changes nothing."""
    job = parameters(request)
    # In a pipeline, statements are sent without waiting for the results of those before.
    with connection.pipeline(), connection.transaction():
        connection.execute(LOCK, job)
        accepted = connection.execute(ACCEPT, job)
        facts = connection.execute(FACTS, job)
        if accepted.fetchone() is None:
            return resume(connection, job)
        may_ask, is_active, successors, records = facts.fetchone()
        if not (may_ask and is_active and successors == len(job["successors"])):
            raise ValueError(f"{job['job']} is refused")
        connection.execute(LOCK_OUT, job)
        if records > CHUNK:
            cut = [connection.execute(CUT.format(kind=kind, table=table, where=where, chunk=CHUNK), job)
                   for kind, (table, where) in TABLES.items() if kind in job]
            return Started(False, [], [chunk for cursor in cut for chunk in cursor.fetchall()])
        for kind in TABLES:
            if kind in job:
                connection.execute(move_statement(kind), job)
        totals = complete(connection, job, has_follows)
        return Started(True, totals.fetchall(), [])


def resume(connection, job):
    """Returns what is left of a job that was accepted before."""
    is_completed = connection.execute(IS_COMPLETED, job).fetchone()[0]
    if is_completed:
        return Started(True, connection.execute(TOTALS, job).fetchall(), [])
    return Started(False, [], connection.execute(OPEN_CHUNKS, job).fetchall())


def move_chunk(connection, request, kind, number):
    """Moves the records of a chunk, once. Returns true if no chunk is left."""
    job = parameters(request) | {"kind": kind, "number": number}
    with connection.transaction():
        chunk = connection.execute(CLOSE_CHUNK, job).fetchone()
        if chunk is not None:
            first, last = chunk
            in_chunk = "AND id BETWEEN %(first)s AND %(last)s"
            connection.execute(move_statement(kind, in_chunk), job | {"first": first, "last": last})
    return connection.execute(IS_LAST, job).fetchone()[0]


def finish(connection, request, has_follows):
    """Removes what is left, certifies and completes a job. Returns the records of each successor and kind."""
    job = parameters(request)
    with connection.pipeline(), connection.transaction():
        return complete(connection, job, has_follows).fetchall()


def complete(connection, job, has_follows):
    connection.execute(PURGE, job)
    if has_follows:
        connection.execute(UNFOLLOW, job)
    connection.execute(FREE_LICENSE, job)
    connection.execute(COMPLETE_WITH_FOLLOWS if has_follows else COMPLETE, job)
    return connection.execute(TOTALS, job)


def move_statement(kind, in_chunk=""):
    table, where = TABLES[kind]
    return MOVE.format(kind=kind, table=table, where=f"{where} {in_chunk}")


def parameters(request):
    """Returns the values of a request, with the successors of each kind that it reassigns."""
    of_kinds = {kind: successors_of(allotment) for kind, allotment in request["reassign"].items()}
    leaver, successors = int(request["user_id"]), sorted({user for users in of_kinds.values() for user in users})
    return of_kinds | {
        "job": request["request_id"], "org": int(request["org_id"]), "by": int(request["requested_by"]), "leaver": leaver,
        "successors": successors, "people": [leaver, *successors],
    }


def successors_of(allotment):
    return [int(share["user"]) for share in allotment.get("shares", [allotment])]
