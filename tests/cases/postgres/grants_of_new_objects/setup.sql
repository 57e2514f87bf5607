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
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO case_writer;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO case_reader;
