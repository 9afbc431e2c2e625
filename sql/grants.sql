-- PostgreSQL lets everybody execute a new function; a verb acts with the rights of its owner, so nobody may unless roles.sql (or you)
-- says so. Every revision that makes functions ends with this line. (`alter default privileges` would see to it for good, but for
-- whatever else that account ever makes in this database, too.)
revoke execute on all functions in schema esteira from public;
