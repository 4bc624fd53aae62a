"""The tables of the store, as this version of the program wants them: made so in an empty database, else by migrations.

None but `contexts` and `responses` holds a piece of a chart or an order, or names a patient: elsewhere a patient is a
digest. `contexts` is what a questionnaire that went out is to be filled from, and is forgotten after
CDS_DTR_CONTEXT_DAYS; `responses` are the finished questionnaires that were sent here. Of a call and its answer there is
what was said, as codes, and a digest of either by which its bytes can be known again.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Date,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

# The migration after which the tables are as below. A test holds it against the migrations and the tables.
SCHEMA = "0004"

# The longest text of a caller's that is kept, but for a comment
LONGEST = 200

metadata = MetaData()

# What was said of one order under one coverage, by its coverage-assertion-id
assertions = Table(
    "assertions",
    metadata,
    Column("id", String(LONGEST), primary_key=True),
    Column("patient", String(64), nullable=False),  # a digest: see crd/memory.py
    Column("payer", String(LONGEST), nullable=False),
    Column("made_at", DateTime, nullable=False, index=True),  # UTC, as every instant here
)

# The last thing each policy said under an assertion id
decisions = Table(
    "decisions",
    metadata,
    Column("assertion", ForeignKey("assertions.id"), primary_key=True),
    Column("policy", String(LONGEST), primary_key=True),
    Column("code", String(LONGEST), primary_key=True),
    # beside the one of the assertion: an id that came back on another patient's order makes nobody's decision another's
    Column("patient", String(64), primary_key=True),
    Column("modifiers", Text, nullable=False),  # separated by spaces
    Column("order_date", Date, nullable=False),
    Column("covered", String(20), nullable=False),
    Column("pa_needed", String(20), nullable=False),
    Column("rule", Text, nullable=False),
    # the authorization that satisfies, where one does
    Column("pa_id", String(LONGEST)),
    Column("pa_reference", String(LONGEST)),
    Column("pa_from", Date),
    Column("pa_until", Date),
    Column("decided_at", DateTime, nullable=False, index=True),
)

# What each questionnaire that went out is to be filled from, by the same id: policy/context.py
contexts = Table(
    "contexts",
    metadata,
    Column("assertion", ForeignKey("assertions.id"), primary_key=True),
    Column("policy", String(LONGEST), primary_key=True),
    Column("patient", String(64), primary_key=True),  # the digest, as with decisions
    Column("questionnaire", Text, nullable=False),
    Column("subject", String(LONGEST), nullable=False),
    Column("coverage", LargeBinary, nullable=False),  # JSON
    Column("situation", LargeBinary, nullable=False),  # JSON
    Column("made_at", DateTime, nullable=False, index=True),
)

# Finished questionnaires that were sent here and found valid, whole; the last version of each
responses = Table(
    "responses",
    metadata,
    Column("patient", String(64), primary_key=True),  # the digest, as above
    Column("id", String(64), primary_key=True),
    Column("questionnaire", Text, nullable=False),
    Column("status", String(20), nullable=False),
    Column("authored", String(40), nullable=False),
    # the assertion id that it came under, and the order that this id was given for
    Column("assertion", String(LONGEST)),
    Column("order", Text),
    Column("digest", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),  # JSON
    Column("received_at", DateTime, nullable=False, index=True),
)

# Every card that went out: what feedback is counted against
cards = Table(
    "cards",
    metadata,
    Column("uuid", String(36), primary_key=True),
    Column("service", String(LONGEST), nullable=False),
    Column("policy", Text, nullable=False),
    Column("kind", String(LONGEST), nullable=False),  # the code of its topic
    Column("sent_at", DateTime, nullable=False, index=True),
)

# What became of a card. No foreign key: a card can have gone out while the store was away
feedback = Table(
    "feedback",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("card", String(36), nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("service", String(LONGEST), nullable=False),
    Column("suggestions", Text, nullable=False),  # uuids, separated by spaces
    Column("reason_system", String(LONGEST), nullable=False),
    Column("reason_code", String(LONGEST), nullable=False),
    Column("comment", Text, nullable=False),
    Column("outcome_at", DateTime, nullable=False),
    Column("received_at", DateTime, nullable=False, index=True),
    UniqueConstraint("card", "outcome"),
)

# Every call of a hook and what became of it, for disputes (CRD, found-37). Nothing here is ever changed
calls = Table(
    "calls",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("called_at", DateTime, nullable=False, index=True),
    Column("service", String(LONGEST), nullable=False),
    Column("hook_instance", String(LONGEST), nullable=False),
    Column("crd_version", String(20), nullable=False),
    Column("status", Integer, nullable=False),  # of HTTP
    Column("patient", String(64), nullable=False),  # a digest, as in assertions; "" where the call could not be read
    Column("request_digest", String(64), nullable=False),  # SHA-256 of the body, as it came
    Column("answer_digest", String(64), nullable=False),  # and as it went
    Column("program", String(LONGEST), nullable=False),  # the version of this program
    Column("said", Text, nullable=False),  # JSON, see crd/call_record.py
)
