package millrace;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.regex.Pattern;

import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Headers;
import org.apache.kafka.connect.source.SourceRecord;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Messages of one prefix in the log are events of the application: each goes to `events.<aggregate>`, under its aggregate's
 * key, with its id, its type and its own headers beside. A message that is no such event stays where Debezium puts it: it
 * must not stop the others.
 */
final class Events {
    private static final Logger LOG = LoggerFactory.getLogger(Events.class);
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Pattern AGGREGATE = Pattern.compile("[a-z][a-z0-9_-]{0,60}");

    private final String prefix;

    /** Without a prefix (null) there are no events. */
    Events(String prefix) {
        this.prefix = prefix;
    }

    /** The record as it is to be written, with the position in the log that is given. */
    SourceRecord routed(SourceRecord record, Map<String, ?> position) {
        Map<?, ?> event = event(record);
        if (event == null) {
            return new SourceRecord(record.sourcePartition(), position, record.topic(), record.kafkaPartition(),
                    record.keySchema(), record.key(), record.valueSchema(), record.value(), record.timestamp(), record.headers());
        }
        Headers headers = new ConnectHeaders();
        ((Map<?, ?>) event.get("headers")).forEach((name, value) -> headers.addString((String) name, (String) value));
        headers.addString("id", (String) event.get("id"));
        headers.addString("type", (String) event.get("type"));
        return new SourceRecord(record.sourcePartition(), position, "events." + event.get("aggregate"), null,
                Schema.STRING_SCHEMA, event.get("key"), null, event, record.timestamp(), headers);
    }

    private Map<?, ?> event(SourceRecord record) {
        if (prefix == null || !(record.value() instanceof Struct value) || value.schema().field("message") == null) {
            return null;
        }
        Struct message = value.getStruct("message");
        if (message == null || !prefix.equals(message.get("prefix"))) {
            return null;
        }
        try {
            Map<?, ?> event = JSON.readValue(bytes(message.get("content")), Map.class);
            boolean texts = event.get("id") instanceof String && event.get("type") instanceof String
                    && event.get("key") instanceof String && event.get("headers") instanceof Map<?, ?> given
                    && given.entrySet().stream().allMatch(e -> e.getValue() instanceof String);
            if (texts && event.get("aggregate") instanceof String name && AGGREGATE.matcher(name).matches()) {
                return event;
            }
        } catch (IOException | IllegalArgumentException notJson) {
            LOG.warn("not JSON: {}", notJson.getMessage());
        }
        LOG.warn("a message of the prefix {} is no event and stays in {}", prefix, record.topic());
        return null;
    }

    private static byte[] bytes(Object content) {
        if (content instanceof byte[] bytes) {
            return bytes;
        }
        if (content instanceof ByteBuffer buffer) {
            byte[] bytes = new byte[buffer.remaining()];
            buffer.duplicate().get(bytes);
            return bytes;
        }
        throw new IllegalArgumentException("content of an unknown kind");
    }
}
