# PostgreSQL with Patroni, for docker/compose.cluster.yml.
FROM postgres:18
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/patroni && /opt/patroni/bin/pip install --no-cache-dir "patroni[etcd3,psycopg3]==4.1.5"
COPY docker/patroni.yml docker/patroni_login.sql /etc/patroni/
COPY --chmod=755 docker/patroni.sh /usr/local/bin/patroni.sh
ENV PATH=/opt/patroni/bin:$PATH
USER postgres
VOLUME /var/lib/postgresql
EXPOSE 5432 8008
ENTRYPOINT ["patroni.sh"]
CMD ["start"]
