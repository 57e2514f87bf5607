DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['case_owner', 'case_reader', 'case_writer'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I', name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END;
  END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE (n), SELECT (gone) ON a TO case_writer;
GRANT SELECT ON a TO case_reader WITH GRANT OPTION;
GRANT CREATE ON SCHEMA public TO case_owner;
GRANT SELECT ON b TO case_owner, case_reader;
GRANT SELECT, UPDATE ON v TO case_reader;
GRANT SELECT (id) ON v TO case_reader;
GRANT ALL ON c TO case_reader WITH GRANT OPTION;
SET ROLE case_reader;
GRANT SELECT ON c TO case_writer;
RESET ROLE;
REVOKE INSERT ON c FROM CURRENT_USER;
ALTER DEFAULT PRIVILEGES FOR ROLE case_owner GRANT ALL ON TABLES TO case_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE case_owner REVOKE ALL ON FUNCTIONS FROM PUBLIC;
