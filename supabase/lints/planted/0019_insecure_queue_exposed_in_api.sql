create schema pgmq;
create schema pgmq_public;
create table pgmq.q_planted (id integer primary key);
set local pgrst.db_schemas = 'api,pgmq_public';
