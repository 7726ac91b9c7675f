package millrace;

import org.apache.kafka.connect.connector.Task;

import io.debezium.connector.postgresql.PostgresConnector;

/** Debezium's connector for PostgreSQL with a task that goes on at the beginning of a transaction: {@link PostgresSourceTask}. */
public final class PostgresSource extends PostgresConnector {
    @Override
    public Class<? extends Task> taskClass() {
        return PostgresSourceTask.class;
    }
}
