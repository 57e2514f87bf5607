"""The catalog queries. Set-returning, one each whatever the number of tables; `%(schemas)s` is an array of names.

They run on PostgreSQL 12 and later; what a version lacks is replaced by a constant (`for_version`).
"""

from __future__ import annotations

import re

_WORD = re.compile(r"@(\w+)@")

_NOT_EXTENSION = (
    "{1} not in (select e.objid from pg_depend e where e.refclassid = 'pg_extension'::regclass"
    " and e.classid = '{0}'::regclass and e.deptype = 'e')"
)
"""A set that is made once by the index on what is referred to: looking by the object costs a look-up for each."""


def own(catalog: str, oid: str) -> str:
    """The condition that no extension owns it."""
    return _NOT_EXTENSION.format(catalog, oid)


SETTINGS = """
select set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true),
       set_config('IntervalStyle', 'postgres', true), set_config('extra_float_digits', '1', true),
       set_config('bytea_output', 'hex', true), set_config('standard_conforming_strings', 'on', true),
       set_config('quote_all_identifiers', 'off', true), set_config('check_function_bodies', 'off', true),
       set_config('jit', 'off', true), set_config('cursor_tuple_fraction', '1', true), set_config('search_path', (
           select string_agg(quote_ident(s.name), ', ' order by s.place)
           from (select x.name, min(x.place) as place
                 from (select p.name, p.place from unnest(%(path)s::text[]) with ordinality p(name, place)
                       union all
                       select n.nspname, 1000 + row_number() over (order by n.nspname)
                       from pg_namespace n
                       where n.nspname <> 'pg_catalog' and n.nspname <> all(%(besides)s::text[])
                         and n.oid in (select extnamespace from pg_extension)
                       union all
                       select p.name, 1000000 + p.place from unnest(%(last)s::text[]) with ordinality p(name, place)
                      ) x group by x.name) s), true)
"""
"""Settings that the server's spelling depends on, for the transaction: scope first, then where extensions live."""

SCHEMAS = """
select n.oid, n.nspname, obj_description(n.oid, 'pg_namespace'), has_schema_privilege(n.oid, 'USAGE'),
       exists (select from pg_depend e where e.classid = 'pg_namespace'::regclass and e.objid = n.oid
               and e.deptype = 'e')
from pg_namespace n where n.nspname = any(%(schemas)s)
"""

EXTENSIONS = """
select e.extname, n.nspname, e.extversion, nullif(obj_description(e.oid, 'pg_extension'), a.comment)
from pg_extension e join pg_namespace n on n.oid = e.extnamespace
left join pg_available_extensions a on a.name = e.extname order by e.extname
"""
"""With comments that are not the extension's own."""

RELATIONS = f"""
select c.oid, n.nspname, c.relname, c.relkind::text, c.relpersistence::text, c.reloptions,
       case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
       case when c.relrowsecurity then case when c.relforcerowsecurity then 'forced' else 'enabled' end
            when c.relforcerowsecurity then 'disabled_forced' else 'disabled' end,
       c.relispartition, i.inherits is not null,
       c.reltablespace <> 0 or coalesce(c.relam <> h.oid, false), c.relreplident::text, c.reloftype <> 0,
       toast.reloptions, marked.clustered, marked.identity
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join (select i.indrelid, max(x.relname::text) filter (where i.indisclustered) as clustered,
                  max(x.relname::text) filter (where i.indisreplident) as identity
           from pg_index i join pg_class x on x.oid = i.indexrelid where i.indisclustered or i.indisreplident
           group by i.indrelid) marked on marked.indrelid = c.oid
left join pg_class toast on toast.oid = c.reltoastrelid and toast.reloptions is not null
left join (select inhrelid as inherits from pg_inherits union select inhparent from pg_inherits) i
       on i.inherits = c.oid
left join pg_am h on h.amname = 'heap' and c.relkind = 'r'
where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  and {own("pg_class", "c.oid")}
order by n.nspname, c.relname
"""

COLUMNS = """
select a.attrelid, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,
       a.attgenerated::text, pg_get_expr(d.adbin, case when a.attgenerated = '' then 0::oid else d.adrelid end, false),
       case when a.attcollation <> t.typcollation and l.oid is not null then
            case when l.collnamespace = 'pg_catalog'::regnamespace then array[l.collname::text]
                 else array[(select nspname::text from pg_namespace where oid = l.collnamespace), l.collname::text]
            end end,
       case when t.typelem <> 0 and t.typlen = -1 then t.typelem else a.atttypid end,
       case when a.attstorage <> t.typstorage then a.attstorage::text end, @compression@,
       nullif(a.attstattarget, -1), a.attoptions
from pg_attribute a
join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_collation l on l.oid = a.attcollation and a.attcollation <> t.typcollation
where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm') and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""
"""A default names no column, so its text needs no table; given one, pg_get_expr would lock and load it."""

CONSTRAINTS = """
select k.oid, k.conrelid, k.conname, k.contype::text, k.condeferrable, k.condeferred, k.convalidated,
       k.connoinherit, k.conkey, k.confrelid, k.conindid, k.confupdtype::text, k.confdeltype::text,
       k.confmatchtype::text, @set_columns@, pg_get_expr(k.conbin, k.conrelid, false),
       @not_enforced@, @period@, fn.nspname, fc.relname,
       case when fn.nspname <> all(%(schemas)s) then
            (select array_agg(a.attname::text order by u.place)
             from unnest(k.confkey) with ordinality u(num, place)
             join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.num) end,
       k.conparentid <> 0 or (c.relispartition and k.coninhcount > 0),
       case when k.contype = 'x' then
            array(select case when pg_operator_is_visible(o.oid) then o.oprname::text
                              else (select nspname from pg_namespace where oid = o.oprnamespace) || '.' || o.oprname end
                  from unnest(k.conexclop) with ordinality u(oid, place) join pg_operator o on o.oid = u.oid
                  order by u.place) end,
       case when k.contype = 'f' then (select relname::text from pg_class where oid = k.conindid) end, k.confkey
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
left join pg_class fc on fc.oid = k.confrelid left join pg_namespace fn on fn.oid = fc.relnamespace
where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p') and k.contype <> 'n'
order by k.conrelid, k.conname
"""
"""Columns that a foreign key refers to by number, and by name where their table is out of the scope."""

NOT_NULLS = """
select k.conrelid, k.conkey[1], k.oid, k.conname, k.convalidated, k.connoinherit
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p') and k.contype = 'n'
  and (k.conname <> c.relname || '_' || a.attname || '_not_null' or not k.convalidated or k.connoinherit
       or k.oid in (select d.objoid from pg_description d where d.classoid = 'pg_constraint'::regclass))
"""
"""Of NOT NULL constraints, rows of their own from PostgreSQL 18 on, those that have more than the column says."""

INDEXES = """
select i.indexrelid, i.indrelid, n.nspname, c.relname, m.amname, i.indisunique, i.indisvalid, @nulls_not_distinct@,
       i.indnkeyatts, i.indkey::int2[], c.reloptions,
       case when plain.indexrelid is null then pg_get_indexdef(i.indexrelid) end,
       pg_get_expr(i.indpred, i.indrelid, false), k.conname, c.reltablespace <> 0, i.indoption::int2[]
from pg_index i
join pg_class c on c.oid = i.indexrelid join pg_class r on r.oid = i.indrelid and r.relkind in ('r', 'p', 'm')
join pg_namespace n on n.oid = r.relnamespace join pg_am m on m.oid = c.relam
left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
left join (
  select x.indexrelid
  from pg_index x
  cross join lateral rows from (
    unnest(x.indkey::int2[]), unnest(x.indclass::oid[]), unnest(x.indcollation::oid[])) key(number, class, sorting)
  left join pg_opclass o on o.oid = key.class and o.opcdefault and o.oid < 16384
       and o.opcmethod = (select oid from pg_am where amname = 'btree')
  left join pg_attribute a on a.attrelid = x.indrelid and a.attnum = key.number and a.attnum > 0
  where x.indrelid >= 16384 and key.class is not null
  group by x.indexrelid
  having bool_and(coalesce(key.sorting = a.attcollation and (
                  o.opcintype = a.atttypid or (o.opcintype = 'text'::regtype and a.atttypid = 'varchar'::regtype
                  and not exists (select from pg_opclass v where v.opcdefault and v.opcintype = 'varchar'::regtype))),
                  false))
) plain on plain.indexrelid = i.indexrelid
where n.nspname = any(%(schemas)s)
order by n.nspname, c.relname
"""
"""Where all keys are columns by the type's own operator class and collation there is no definition: numbers say all of
it, and to write it the server loads the table."""

VIEWS = """
select c.oid, c.relispopulated, t.reloptions,
       concat_ws(', ', case when c.reltablespace <> 0 then 'tablespace' end,
                 case when c.relkind = 'm' and c.relam <> (select oid from pg_am where amname = 'heap')
                      then 'access method' end,
                 (select string_agg('column settings (' || a.attname || ')', ', ' order by a.attnum)
                  from pg_attribute a join pg_type y on y.oid = a.atttypid
                  where c.relkind = 'm' and a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                  and (a.attstorage <> y.typstorage or @compression@ is not null or coalesce(a.attstattarget, -1) >= 0
                       or coalesce(a.attoptions::text ~ 'n_distinct', false))),
                 (select 'extended statistics' from pg_statistic_ext s
                  where c.relkind = 'm' and s.stxrelid = c.oid limit 1),
                 (select 'CLUSTER ON an index' from pg_index i where i.indrelid = c.oid and i.indisclustered)),
       (select array_agg(rtrim(pg_get_ruledef(r.oid), ';') order by r.rulename) from pg_rewrite r
        where r.ev_class = c.oid and r.rulename <> '_RETURN'),
       (select array_agg(format('ALTER TABLE %%s %%s RULE %%I', c.oid::regclass,
                                case r.ev_enabled when 'D' then 'DISABLE' when 'A' then 'ENABLE ALWAYS'
                                     else 'ENABLE REPLICA' end, r.rulename) order by r.rulename)
        from pg_rewrite r where r.ev_class = c.oid and r.rulename <> '_RETURN' and r.ev_enabled <> 'O')
from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_class t on t.oid = c.reltoastrelid
where n.nspname = any(%(schemas)s) and c.relkind in ('v', 'm')
"""
"""Of views and materialized views: what only they have; why one is left out; statements that make its rules again."""

INDEX_STATISTICS = """
select a.attrelid, a.attnum, a.attstattarget
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%(schemas)s) and c.relkind in ('i', 'I') and a.attstattarget >= 0
"""
"""Statistics targets of expressions in indexes."""

STATISTICS = f"""
select s.oid, s.stxrelid, n.nspname, s.stxname, s.stxkeys::int2[], s.stxkind::text[], @statistics_target@,
       @statistics_expressions@
from pg_statistic_ext s join pg_namespace n on n.oid = s.stxnamespace
where n.nspname = any(%(schemas)s) and {own("pg_statistic_ext", "s.oid")}
order by n.nspname, s.stxname
"""

COMMENTS = """
select classoid, objoid, objsubid, description from pg_description
where classoid in ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_type'::regclass, 'pg_policy'::regclass,
                   'pg_statistic_ext'::regclass, 'pg_trigger'::regclass, 'pg_collation'::regclass) and objoid >= 16384
"""

REFERENCES = """
with used as (
  select case when r.oid is not null then 'v' when f.oid is not null then 'd'
              else case d.classid when 'pg_policy'::regclass then 'p' when 'pg_trigger'::regclass then 't'
                                  when 'pg_proc'::regclass then 'f' when 'pg_type'::regclass then 'y' else 's' end
         end as origin, coalesce(r.ev_class, f.adrelid, d.objid) as oid, coalesce(f.adnum, 0) as sub,
         d.refclassid, d.refobjid, d.refobjsubid
  from pg_depend d
  left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
  left join pg_attrdef f on d.classid = 'pg_attrdef'::regclass and f.oid = d.objid
  where d.classid in ('pg_rewrite'::regclass, 'pg_attrdef'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass,
                      'pg_proc'::regclass, 'pg_type'::regclass, 'pg_statistic_ext'::regclass)
    and d.objid >= 16384 and d.refobjid >= 16384 and d.deptype in ('n', 'a')
    and d.refclassid in ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass, 'pg_collation'::regclass)
    and (f.oid is null or (d.refclassid, d.refobjid, d.refobjsubid) <> ('pg_class'::regclass, f.adrelid, f.adnum))
  union all
  select case when d.classid = 'pg_class'::regclass then 'i' else 'c' end, d.objid, 0,
         d.refclassid, d.refobjid, d.refobjsubid
  from pg_depend d
  where d.classid in ('pg_class'::regclass, 'pg_constraint'::regclass) and d.objid >= 16384
    and ((d.refclassid in ('pg_type'::regclass, 'pg_proc'::regclass, 'pg_collation'::regclass)
          and d.refobjid >= 16384)
         or (d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0
             and (d.classid = 'pg_class'::regclass and d.objid in (
                    select indexrelid from pg_index where indexprs is not null or indpred is not null)
                  or d.refobjid in (select oid from pg_class where relkind = 'c' and oid >= 16384))))
)
select u.origin, u.oid, u.sub,
       case when u.refclassid = 'pg_proc'::regclass then 'f' when u.refclassid = 'pg_class'::regclass then 'r'
            when u.refclassid = 'pg_collation'::regclass then 'l' when c.oid is not null then 'r' else 't' end,
       coalesce(c.oid, e.oid, u.refobjid), u.refobjsubid
from used u
left join pg_type t on u.refclassid = 'pg_type'::regclass and t.oid = u.refobjid
left join pg_type e on e.oid = case when t.typelem <> 0 and t.typlen = -1 then t.typelem else t.oid end
left join pg_class c on c.oid = e.typrelid and c.relkind <> 'c'
"""
"""What views (v), defaults and generated columns (d), indexes and composite types (i, by pg_class), checks (c),
policies (p), triggers (t), routines (f), types (y) and extended statistics (s) are built from: relations (r) with
columns, types (t, elements of arrays), routines (f), collations (l). The type of a table's rows is that table.

Left out is what their own rows say and what there is most of: the column of a default, the columns that are keys."""

_VERSIONED: dict[str, tuple[str, str, int]] = {
    "statistics_target": ("nullif(s.stxstattarget, -1)", "null::int", 130000),
    "statistics_expressions": ("pg_get_statisticsobjdef_expressions(s.oid)", "null::text[]", 140000),
    "compression": ("nullif(a.attcompression::text, '')", "null", 140000),
    "nulls_not_distinct": ("i.indnullsnotdistinct", "false", 150000),
    "set_columns": ("k.confdelsetcols", "null::int2[]", 150000),
    "not_enforced": ("not k.conenforced", "false", 180000),
    "cloned": ("t.tgparentid <> 0", "false", 130000),
    "parent_trigger": ("t.tgparentid", "0::oid", 130000),
    "detaching": ("i.inhdetachpending", "false", 140000),
    "maintain": ("true", "false", 170000),
    "row_filter": ("pg_get_expr(r.prqual, r.prrelid)", "null::text", 150000),
    "column_list": ("r.prattrs::int2[]", "null::int2[]", 150000),
    "period": ("k.conperiod", "false", 180000),
}
"""`@word@` in a query: what it stands for from a version on, and before."""


def for_version(sql: str, number: int) -> str:
    """A query as the server of that `server_version_num` understands it."""

    def word(match: re.Match[str]) -> str:
        new, old, since = _VERSIONED[match[1]]
        return new if number >= since else old

    return _WORD.sub(word, sql)


_OTHERS = """
with ns as materialized (select oid, nspname from pg_namespace where nspname = any(%(schemas)s))
select 'pg_rewrite'::regclass::oid as class, r.oid, 'rule' as kind,
       array[ns.nspname::text, c.relname::text, r.rulename::text] as parts, 'rule' as what
from pg_rewrite r join pg_class c on c.oid = r.ev_class join ns on ns.oid = c.relnamespace
where r.rulename <> '_RETURN'
union all
select 'pg_type'::regclass, t.oid, 'type', array[ns.nspname::text, t.typname::text], 'base type'
from pg_type t join ns on ns.oid = t.typnamespace
where t.typtype = 'b' and not exists (select from pg_type x where x.typarray = t.oid)
union all
select 'pg_type'::regclass, t.oid, 'type', array[ns.nspname::text, t.typname::text], 'type that is only named'
from pg_type t join ns on ns.oid = t.typnamespace
where t.typtype = 'p' and not t.typisdefined
union all
select 'pg_ts_config'::regclass, c.oid, 'text_search_configuration', array[ns.nspname::text, c.cfgname::text],
       'text search configuration'
from pg_ts_config c join ns on ns.oid = c.cfgnamespace
union all
select 'pg_ts_dict'::regclass, d.oid, 'text_search_dictionary', array[ns.nspname::text, d.dictname::text],
       'text search dictionary'
from pg_ts_dict d join ns on ns.oid = d.dictnamespace
union all
select 'pg_ts_parser'::regclass, p.oid, 'text_search_parser', array[ns.nspname::text, p.prsname::text],
       'text search parser'
from pg_ts_parser p join ns on ns.oid = p.prsnamespace
union all
select 'pg_ts_template'::regclass, p.oid, 'text_search_template', array[ns.nspname::text, p.tmplname::text],
       'text search template'
from pg_ts_template p join ns on ns.oid = p.tmplnamespace
union all
select 'pg_operator'::regclass, o.oid, 'operator',
       array[ns.nspname::text, o.oprname || '(' || coalesce(nullif(o.oprleft, 0)::regtype::text, 'none') || ', '
             || o.oprright::regtype::text || ')'], 'operator'
from pg_operator o join ns on ns.oid = o.oprnamespace
union all
select 'pg_opclass'::regclass, o.oid, 'operator_class', array[ns.nspname::text, o.opcname::text, m.amname::text],
       'operator class'
from pg_opclass o join ns on ns.oid = o.opcnamespace join pg_am m on m.oid = o.opcmethod
union all
select 'pg_opfamily'::regclass, o.oid, 'operator_family', array[ns.nspname::text, o.opfname::text, m.amname::text],
       'operator family'
from pg_opfamily o join ns on ns.oid = o.opfnamespace join pg_am m on m.oid = o.opfmethod
union all
select 'pg_conversion'::regclass, o.oid, 'conversion', array[ns.nspname::text, o.conname::text], 'conversion'
from pg_conversion o join ns on ns.oid = o.connamespace
union all
select 'pg_cast'::regclass, c.oid, 'cast', array[c.castsource::regtype::text || ' as ' || c.casttarget::regtype::text],
       'cast'
from pg_cast c where c.oid >= 16384
union all
select 'pg_publication'::regclass, p.oid, 'publication', array[p.pubname::text], 'publication'
from pg_publication p
union all
select 'pg_subscription'::regclass, 0::oid, 'subscription', array[s.subname::text], 'subscription'
from pg_subscription s where s.subdbid = (select oid from pg_database where datname = current_database())
union all
select 'pg_language'::regclass, l.oid, 'language', array[l.lanname::text], 'procedural language'
from pg_language l where l.oid >= 16384
union all
select 'pg_foreign_server'::regclass, s.oid, 'foreign_server', array[s.srvname::text], 'foreign server'
from pg_foreign_server s
union all
select 'pg_foreign_data_wrapper'::regclass, w.oid, 'foreign_data_wrapper', array[w.fdwname::text],
       'foreign-data wrapper'
from pg_foreign_data_wrapper w
union all
select 'pg_transform'::regclass, t.oid, 'transform', array[t.trftype::regtype::text], 'transform'
from pg_transform t
"""

BESIDE = """
select 'setting', array[case s.setrole when 0 then 'database' else pg_get_userbyid(s.setrole)::text end,
                        split_part(c, '=', 1)], 'setting of the database, or of a role in it'
from pg_db_role_setting s, unnest(s.setconfig) c
where s.setdatabase = (select oid from pg_database where datname = current_database())
union all
select 'language', array[l.lanname::text], 'privileges on a language' from pg_language l where l.lanacl is not null
union all
select 'large_object', array['privileges'], 'privileges on ' || count(*) || ' large objects'
from pg_largeobject_metadata where lomacl is not null having count(*) > 0
union all
select 'security_label', array[provider, pg_describe_object(classoid, objoid, objsubid)], 'security label'
from pg_seclabel where objoid >= 16384
union all
select 'extension_dependency', array[pg_describe_object(d.classid, d.objid, 0), e.extname::text],
       'ALTER … DEPENDS ON EXTENSION'
from pg_depend d join pg_extension e on d.refclassid = 'pg_extension'::regclass and e.oid = d.refobjid
where d.deptype = 'x'
union all
select 'statistics_owner', array[n.nspname::text, s.stxname::text], 'owner other than that of its table'
from pg_statistic_ext s join pg_class c on c.oid = s.stxrelid join pg_namespace n on n.oid = s.stxnamespace
where n.nspname = any(%(schemas)s) and s.stxowner <> c.relowner
order by 1, 2
"""
"""What is not modelled of the database around: no plan could remove it, and none is to be refused over it."""

NOT_MODELLED = f"""
select kind, parts, what from ({_OTHERS}) o
where not exists (select from pg_depend e where e.classid = o.class and e.objid = o.oid and e.deptype in ('e', 'i'))
order by kind, parts
"""
"""Objects of kinds that have no resource class here; multirange types and the like belong to another object."""
