"""The closed list of what can hurt about a step, each with its one sentence."""

from enum import StrEnum


class Hazard(StrEnum):
    """A danger of a step. Blocking ones stop an apply until `--allow` or the policy names them."""

    DELETES_DATA = "deletes-data"
    REWRITES_TABLE = "rewrites-table"
    BLOCKS_READS = "blocks-reads"
    BLOCKS_WRITES = "blocks-writes"
    BREAKS_CLIENTS = "breaks-clients"
    INDEX_GAP = "index-gap"
    NEEDS_REEMBEDDING = "needs-reembedding"
    IRREVERSIBLE = "irreversible"
    REVERTS_DRIFT = "reverts-drift"
    CHANGES_ACCESS = "changes-access"
    BUILDS_INDEX = "builds-index"
    DEPENDS_ON_DATA = "depends-on-data"
    NEEDS_SPACE = "needs-space"
    NOT_TRANSACTIONAL = "not-transactional"
    LONG_RUNNING = "long-running"

    @property
    def blocking(self) -> bool:
        """Whether a step with it needs an allowance."""
        return self not in INFORMING

    @property
    def sentence(self) -> str:
        """What it means, for people."""
        return _SENTENCES[self]


INFORMING = frozenset(
    {
        Hazard.BUILDS_INDEX,
        Hazard.DEPENDS_ON_DATA,
        Hazard.NEEDS_SPACE,
        Hazard.NOT_TRANSACTIONAL,
        Hazard.LONG_RUNNING,
    }
)

_SENTENCES = {
    Hazard.DELETES_DATA: "Rows, points or property values are gone after it.",
    Hazard.REWRITES_TABLE: "Every row is written again while the table is locked against all access.",
    Hazard.BLOCKS_READS: "Queries on the object wait until it ends.",
    Hazard.BLOCKS_WRITES: "Inserts, updates and deletes on the object wait until it ends.",
    Hazard.BREAKS_CLIENTS: "Statements written for the old schema fail from then on.",
    Hazard.INDEX_GAP: "The index is missing from the drop of the old one until the new one is ready.",
    Hazard.NEEDS_REEMBEDDING: "Stored vectors no longer fit and have to be computed again.",
    Hazard.IRREVERSIBLE: "There is no step that brings the old state back.",
    Hazard.REVERTS_DRIFT: "It undoes a change that somebody made in the store by hand.",
    Hazard.CHANGES_ACCESS: "Who may read or write changes.",
    Hazard.BUILDS_INDEX: "An index is built over the rows or points that exist.",
    Hazard.DEPENDS_ON_DATA: "It fails where stored data does not satisfy it.",
    Hazard.NEEDS_SPACE: "Disk space for a second copy is needed while it runs.",
    Hazard.NOT_TRANSACTIONAL: "The store cannot roll it back; a broken try may leave something to clean up.",
    Hazard.LONG_RUNNING: "It goes on in the background after the call returns, or takes long by nature.",
}
