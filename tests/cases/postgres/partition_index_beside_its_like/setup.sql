create index events_2026_kind_by_hand on events_2026 (kind);
