DROP INDEX person_born;
