package millrace;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.source.SourceRecord;

import io.debezium.config.Configuration;
import io.debezium.connector.postgresql.PostgresConnectorTask;
import io.debezium.connector.postgresql.PostgresOffsetContext;
import io.debezium.connector.postgresql.PostgresPartition;
import io.debezium.pipeline.ChangeEventSourceCoordinator;

/**
 * Numbers the inserted rows that share a position of the log, and stores positions between transactions only.
 *
 * The rows of one COPY lie in few records of the log, many in each, so a position alone does not tell them apart: from the
 * second row of a position on, `source.sequence` gets the row's number as its third part (the first row's is 0, and left
 * out). The numbers must be the same whenever the rows are read again. Debezium's own count of them
 * (`lsn_events_processed`) is not: a position that is stored within a transaction is gone on from by counting messages, and
 * the BEGIN, which bears the position of the transaction's first record, is counted as one; and after the first row of a
 * position the rest of it is skipped for good. So what is stored with every record is the end of the last transaction
 * before it: the server then sends what has committed since, each transaction from its beginning, and what is sent twice
 * has the same versions and numbers. Messages that are {@link Events} are routed here, with the same positions.
 */
public final class PostgresSourceTask extends PostgresConnectorTask {
    private long position = -1;
    private long transaction = -1;
    private int number;
    private Events events = new Events(null);

    /** Called again, on the same task, when Debezium starts anew after an error that it retries. */
    @Override
    public ChangeEventSourceCoordinator<PostgresPartition, PostgresOffsetContext> start(Configuration config) {
        position = -1;
        events = new Events(config.getString("millrace.outbox"));
        return super.start(config);
    }

    @Override
    public List<SourceRecord> doPoll() throws InterruptedException {
        List<SourceRecord> records = super.doPoll();
        List<SourceRecord> numbered = new ArrayList<>(records.size());
        for (SourceRecord record : records) {
            if (record.value() instanceof Struct value && value.schema().field("op") != null && "c".equals(value.get("op"))) {
                number(value.getStruct("source"));
            }
            numbered.add(events.routed(record, between(record.sourceOffset())));
        }
        return numbered;
    }

    private void number(Struct source) {
        long here = source.getInt64("lsn");
        Long by = source.getInt64("txId");
        boolean same = here == position && by != null && by == transaction;
        position = here;
        transaction = by == null ? -1 : by;
        number = same ? number + 1 : 0;
        if (number > 0) {
            String sequence = source.getString("sequence");
            source.put("sequence", sequence.substring(0, sequence.length() - 1) + ",\"" + number + "\"]");
        }
    }

    /**
     * The offset as Debezium has it when it has read up to the last commit and nothing since. It goes on from there at the
     * first transaction that the server sends (`MESSAGE`: without reading that one to its end beforehand).
     */
    private static Map<String, ?> between(Map<String, ?> offset) {
        Object commit = offset == null ? null : offset.get("lsn_commit");
        if (commit == null) {
            return offset; // the first transaction of a connector that has never stored a position
        }
        Map<String, Object> before = new HashMap<>(offset);
        before.put("lsn", commit);
        before.put("lsn_proc", commit);
        before.put("messageType", "MESSAGE");
        before.remove("lsn_events_processed");
        return before;
    }
}
