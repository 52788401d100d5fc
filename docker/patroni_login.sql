-- The login of the service, the two roles under which outsiders read, and its database. The limit leaves connections for Patroni,
-- whatever clients do; each process of the service opens up to FIELDSVC_POOL_SIZE + 2.
\getenv password LOGIN_PASSWORD
create role fieldsvc_reader nologin;
create role fieldsvc_subscriber nologin;
create role fieldsvc login password :'password' connection limit 80 in role fieldsvc_reader, fieldsvc_subscriber;
create database fieldsvc owner fieldsvc;
