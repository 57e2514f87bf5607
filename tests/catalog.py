"""What a PostgreSQL database holds, straight from its catalog: for comparing two databases without reconcile's eyes."""

from __future__ import annotations

import psycopg

_OBJECTS = """
WITH spaces AS (
  SELECT oid, nspname FROM pg_namespace
  WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('information_schema', 'reconcile')
), classes AS (
  SELECT c.oid, c.relkind, c.relpersistence, c.reloptions || t.reloptions AS reloptions, c.relreplident,
         -- what the server called an index of a partition depends on what had the name at that time
         coalesce((SELECT concat(i.inhparent::regclass, ' on ', x.indrelid::regclass) FROM pg_inherits i
                   JOIN pg_index x ON x.indexrelid = i.inhrelid WHERE i.inhrelid = c.oid),
                  s.nspname || '.' || c.relname) AS name,
         ' ' || quote_ident(c.relname) || ' ON ' AS called
  FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
  LEFT JOIN LATERAL (SELECT array_agg('toast.' || o) AS reloptions FROM pg_class t, unnest(t.reloptions) o
                     WHERE t.oid = c.reltoastrelid) t ON true
  -- not what an extension owns, nor an identity column's sequence, which keeps its name when the table gets another
  WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                    AND (d.deptype = 'e' OR (c.relkind = 'S' AND d.deptype = 'i')))
)
SELECT 'schema ' || nspname, coalesce(obj_description(oid, 'pg_namespace'), '') FROM spaces
UNION ALL
SELECT 'extension ' || extname, '' FROM pg_extension
UNION ALL
SELECT 'enum ' || s.nspname || '.' || t.typname,
       array_to_string(ARRAY(SELECT enumlabel FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY enumsortorder), ',')
       || ' | ' || coalesce(obj_description(t.oid, 'pg_type'), '')
FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace WHERE t.typtype = 'e'
UNION ALL
SELECT 'relation ' || name, concat(relkind, relpersistence, relreplident, ' ') || coalesce(array_to_string(
         ARRAY(SELECT o FROM unnest(reloptions) o ORDER BY 1), ','), '')
       || ' | ' || coalesce(obj_description(oid, 'pg_class'), '')
FROM classes
UNION ALL
SELECT 'column ' || c.name || '.' || a.attname,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END,
                 'identity=' || nullif(a.attidentity::text, ''), 'generated=' || nullif(a.attgenerated::text, ''),
                 'default=' || pg_get_expr(d.adbin, d.adrelid),
                 'storage=' || CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END,
                 'compression=' || nullif(to_jsonb(a) ->> 'attcompression', ''),
                 'statistics=' || nullif(a.attstattarget, -1),
                 -- what is not n_distinct was set by nobody
                 'options=' || CASE WHEN a.attoptions::text LIKE '%n_distinct%' THEN a.attoptions::text END,
                 'collation=' || CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
                 '| ' || col_description(c.oid, a.attnum))
FROM classes c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p', 'v', 'm')
UNION ALL
SELECT 'constraint ' || c.name || '.' || k.conname,
       regexp_replace(pg_get_constraintdef(k.oid), ' WITH \\([^)]*\\)', '') || ' ' || k.convalidated || ' | '
       || coalesce(obj_description(k.oid, 'pg_constraint'), '')
FROM pg_constraint k JOIN classes c ON c.oid = k.conrelid WHERE k.contype <> 'n'
UNION ALL
-- from 18 on; names that look generated outlive renames
SELECT 'not null ' || c.name || '.' || a.attname, concat_ws(' ',
         CASE WHEN k.conname !~ '_not_null[0-9]*$' THEN k.conname END, k.convalidated, k.connoinherit,
         '| ' || obj_description(k.oid, 'pg_constraint'))
FROM pg_constraint k JOIN classes c ON c.oid = k.conrelid
JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] WHERE k.contype = 'n'
UNION ALL
SELECT 'statistics ' || s.nspname || '.' || x.stxname, concat_ws(' ', pg_get_statisticsobjdef(x.oid),
         nullif((to_jsonb(x) ->> 'stxstattarget')::int, -1), '| ' || obj_description(x.oid, 'pg_statistic_ext'))
FROM pg_statistic_ext x JOIN spaces s ON s.oid = x.stxnamespace
UNION ALL
SELECT 'index ' || c.name, concat(
         regexp_replace(replace(pg_get_indexdef(c.oid), c.called, ' ON '), ' WITH \\([^)]*\\)', ''),
         ' valid=', i.indisvalid,
         ' clustered=', i.indisclustered, ' identity=', i.indisreplident, ' statistics=',
         (SELECT string_agg(a.attnum || ':' || a.attstattarget, ',') FROM pg_attribute a
          WHERE a.attrelid = c.oid AND a.attstattarget >= 0))
FROM classes c JOIN pg_index i ON i.indexrelid = c.oid
UNION ALL
SELECT 'sequence ' || c.name, concat_ws(' ', format_type(q.seqtypid, NULL), q.seqstart, q.seqincrement, q.seqmin,
       q.seqmax, q.seqcache, q.seqcycle, (SELECT d.deptype::text || ' ' || d.refobjid::regclass || '.' || a.attname
        FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
FROM classes c JOIN pg_sequence q ON q.seqrelid = c.oid
UNION ALL
SELECT 'identity ' || d.refobjid::regclass || '.' || a.attname, concat_ws(' ', format_type(q.seqtypid, NULL),
       q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle, r.relpersistence,
       '| ' || obj_description(r.oid, 'pg_class'))
FROM pg_depend d JOIN pg_sequence q ON q.seqrelid = d.objid JOIN pg_class r ON r.oid = d.objid
JOIN spaces s ON s.oid = r.relnamespace
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'i'
UNION ALL
SELECT 'domain ' || s.nspname || '.' || t.typname, concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
       t.typcollation::regcollation, t.typnotnull, 'default=' || pg_get_expr(t.typdefaultbin, 0),
       (SELECT string_agg(concat_ws(' ', k.conname, pg_get_constraintdef(k.oid), k.convalidated,
                                    obj_description(k.oid, 'pg_constraint')), '; ' ORDER BY k.conname)
        FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'),
       '| ' || obj_description(t.oid, 'pg_type'))
FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace WHERE t.typtype = 'd'
UNION ALL
SELECT 'composite ' || s.nspname || '.' || c.relname, concat_ws(' ', (
         SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation,
                                     col_description(c.oid, a.attnum)), '; ' ORDER BY a.attname)
         FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       '| ' || obj_description(c.reltype, 'pg_type'))
FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace WHERE c.relkind = 'c'
UNION ALL
SELECT 'range ' || s.nspname || '.' || t.typname, concat_ws(' ', format_type(g.rngsubtype, NULL),
       g.rngcollation::regcollation, o.opcname, g.rngcanonical, g.rngsubdiff,
       format_type((to_jsonb(g) ->> 'rngmultitypid')::oid, NULL),
       obj_description((to_jsonb(g) ->> 'rngmultitypid')::oid, 'pg_type'),
       (SELECT string_agg(p.proname, ',' ORDER BY p.proname) FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
        WHERE d.classid = 'pg_proc'::regclass AND d.refobjid = t.oid AND d.deptype = 'i'),
       '| ' || obj_description(t.oid, 'pg_type'))
FROM pg_range g JOIN pg_type t ON t.oid = g.rngtypid JOIN spaces s ON s.oid = t.typnamespace
JOIN pg_opclass o ON o.oid = g.rngsubopc
UNION ALL
SELECT 'collation ' || s.nspname || '.' || c.collname, concat((to_jsonb(c) - array['oid', 'collnamespace',
       'collowner', 'collversion'])::text, ' | ', obj_description(c.oid, 'pg_collation'))
FROM pg_collation c JOIN spaces s ON s.oid = c.collnamespace
UNION ALL
SELECT 'routine ' || s.nspname || '.' || p.oid::regprocedure, concat(
         CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END,
         CASE WHEN p.prokind = 'a' THEN pg_get_function_arguments(p.oid) || format_type(a.aggtranstype, NULL)
              || (to_jsonb(a) - array['aggfnoid', 'aggtranstype', 'aggmtranstype', 'aggsortop'])::text END,
         ' | ', obj_description(p.oid, 'pg_proc'))
FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                  AND d.deptype IN ('e', 'i'))
UNION ALL
SELECT 'event trigger ' || evtname, concat_ws(' ', evtevent, evtenabled, evttags::text, evtfoid::regproc, '|',
       obj_description(oid, 'pg_event_trigger')) FROM pg_event_trigger
UNION ALL
SELECT 'security ' || c.name, concat(r.relrowsecurity, r.relforcerowsecurity)
FROM classes c JOIN pg_class r ON r.oid = c.oid WHERE c.relkind IN ('r', 'p')
UNION ALL
SELECT 'policy ' || c.name || '.' || p.polname, concat_ws(' ', p.polcmd, p.polpermissive, ARRAY(
         SELECT CASE o WHEN 0 THEN 'public' ELSE pg_get_userbyid(o)::text END FROM unnest(p.polroles) o ORDER BY 1),
       'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid),
       '|', obj_description(p.oid, 'pg_policy'))
FROM classes c JOIN pg_policy p ON p.polrelid = c.oid
UNION ALL
SELECT 'trigger ' || c.name || '.' || t.tgname,
       concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled, '|', obj_description(t.oid, 'pg_trigger'))
FROM classes c JOIN pg_trigger t ON t.tgrelid = c.oid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'view ' || c.name, pg_get_viewdef(c.oid) FROM classes c WHERE c.relkind IN ('v', 'm')
UNION ALL
SELECT 'access ' || x.name, x.owner || array_to_string(ARRAY(
         SELECT concat_ws(' ', '', CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END,
                          g.privilege_type, g.is_grantable) FROM aclexplode(x.acl) g ORDER BY 1), ',')
FROM (
  SELECT 'relation ' || c.name AS name, pg_get_userbyid(r.relowner)::text AS owner,
         coalesce(r.relacl, acldefault(CASE WHEN r.relkind = 'S' THEN 's' ELSE 'r' END::"char", r.relowner)) AS acl
  FROM classes c JOIN pg_class r ON r.oid = c.oid WHERE r.relkind IN ('r', 'p', 'v', 'm', 'S')
  UNION ALL
  SELECT 'column ' || c.name || '.' || a.attname, '', a.attacl
  FROM classes c JOIN pg_attribute a ON a.attrelid = c.oid WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
  UNION ALL
  SELECT 'schema ' || s.nspname, pg_get_userbyid(n.nspowner), coalesce(n.nspacl, acldefault('n', n.nspowner))
  FROM spaces s JOIN pg_namespace n ON n.oid = s.oid
  UNION ALL
  SELECT 'routine ' || p.oid::regprocedure, pg_get_userbyid(p.proowner), coalesce(p.proacl, acldefault('f', p.proowner))
  FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
  UNION ALL
  SELECT 'type ' || s.nspname || '.' || t.typname, pg_get_userbyid(t.typowner),
         coalesce(t.typacl, acldefault('T', t.typowner))
  FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
  WHERE t.typtype IN ('e', 'd', 'r') OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')
) x
"""


def objects(url: str) -> dict[str, str]:
    """Every object by kind and name, its definition as the server prints it, its comment after a bar."""
    with psycopg.connect(url, options="-c search_path=public -c timezone=UTC") as connection:
        return dict(connection.execute(_OBJECTS.encode()).fetchall())


def differences(left: dict[str, str], right: dict[str, str]) -> list[str]:
    """What only one has or both have differently, a line each."""
    found = []
    for name in sorted({*left, *right}):
        if left.get(name) != right.get(name):
            found.append(f"{name}: {left.get(name, 'absent')!r} != {right.get(name, 'absent')!r}")
    return found
