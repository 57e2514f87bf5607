"""Backfills: changes of data that run once, batch by batch, as steps of a plan's migrate phase.

`definition` has what is declared, `rules` the tables of patterns, `progress` what the ledger keeps, `running` the loop
over batches. How rows are read and written is the stores' (`stores.filling`).
"""

KIND = "backfill"
"""Of their addresses."""
KEY = f"{KIND} "
"""Before the address, in what the ledger knows."""
