package millrace;

import java.math.BigDecimal;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.HexFormat;
import java.util.Map;
import java.util.Properties;
import java.util.Set;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.errors.DataException;
import org.postgresql.jdbc.PgArray;
import org.postgresql.util.PGInterval;
import org.postgresql.util.PGobject;

import io.debezium.connector.postgresql.PostgresValueConverter;
import io.debezium.connector.postgresql.UnchangedToastedReplicationMessageColumn;
import io.debezium.data.SpecialValueDecimal;
import io.debezium.spi.converter.CustomConverter;
import io.debezium.spi.converter.RelationalColumn;

/**
 * Gives Debezium's messages PostgreSQL's own text for every value that Debezium would spell otherwise or lose.
 *
 * Debezium's own conversions turn an array of two dimensions into nulls, forget the length of a bit string and the
 * offset of a time, leave out arrays of intervals, and mark an unchanged TOAST value of binary or array type so that it
 * cannot be told from a real one. Here every such type is text, as COPY writes it (bytea as hex without its prefix,
 * arrays and hstore as JSON of their elements' texts); an unchanged TOAST value is the text `absent`, whatever the type.
 * A value of a class that is not known is refused, which stops the connector: nothing is guessed.
 *
 * Values of masked columns leave masked. Where some columns of a table are masked, one that was not known when the masks were
 * declared (a new one, or a masked one under another name) has `absent` for its values: they are read from the source.
 */
public final class PostgresText implements CustomConverter<SchemaBuilder, RelationalColumn> {
    /** Types (by oid) whose JSON is exact without us: bool, int8, int2, int4, text, oid, json, float4, float8, bpchar, varchar, uuid, jsonb. */
    private static final Set<Integer> EXACT = Set.of(16, 20, 21, 23, 25, 26, 114, 700, 701, 1042, 1043, 2950, 3802);

    private static final int BOX_ARRAY = 1020;

    private String absent;
    private Map<String, Map<String, Mask>> masks;

    @Override
    public void configure(Properties properties) {
        absent = properties.getProperty("absent");
        if (absent == null) {
            throw new DataException("the converter needs its property `absent`: the text of an unchanged TOAST value");
        }
        try {
            String declared = properties.getProperty("masks", "{}");
            masks = Mask.read(new ObjectMapper().readValue(declared, Map.class), properties.getProperty("key.password"));
        } catch (JsonProcessingException error) {
            throw new DataException("the converter's property `masks` is no JSON object", error);
        }
    }

    @Override
    public void converterFor(RelationalColumn column, ConverterRegistration<SchemaBuilder> registration) {
        Map<String, Mask> of = masks.get(column.dataCollection());
        Mask mask = of == null ? Mask.CLEAR : of.getOrDefault(column.name(), text -> absent);
        if (mask == Mask.CLEAR && EXACT.contains(column.nativeType())) {
            return;
        }
        String type = column.typeName();
        // optional even where the column is not: the old image of a delete has nothing but the key
        registration.register(SchemaBuilder.string().optional(), value -> masked(text(value, column, type), mask));
    }

    private String masked(String text, Mask mask) {
        return text == null || text.equals(absent) ? text : mask.of(text);
    }

    private String text(Object value, RelationalColumn column, String type) {
        if (value == null) {
            return null;
        }
        if (UnchangedToastedReplicationMessageColumn.isUnchangedToastedValue(value)) {
            return absent;
        }
        if (value instanceof String string) {
            return type.equals("hstore") ? Json.ofHstore(string) : string;
        }
        if (value instanceof PgArray array) {
            return Json.ofArray(array.toString(), column.nativeType() == BOX_ARRAY ? ';' : ',');
        }
        if (value instanceof SpecialValueDecimal number) {
            return number.getDecimalValue().map(BigDecimal::toPlainString).orElseGet(() -> notANumber(number));
        }
        if (value instanceof BigDecimal number) {
            return number.toPlainString();
        }
        if (value instanceof LocalDate day) {
            if (PostgresValueConverter.POSITIVE_INFINITY_LOCAL_DATE.equals(day)) {
                return "infinity";
            }
            return PostgresValueConverter.NEGATIVE_INFINITY_LOCAL_DATE.equals(day) ? "-infinity" : Times.date(day);
        }
        if (value instanceof Instant moment) {
            if (PostgresValueConverter.POSITIVE_INFINITY_INSTANT.equals(moment)) {
                return "infinity";
            }
            return PostgresValueConverter.NEGATIVE_INFINITY_INSTANT.equals(moment)
                    ? "-infinity" : Times.timestamp(LocalDateTime.ofInstant(moment, ZoneOffset.UTC), "");
        }
        if (value instanceof OffsetDateTime moment) {
            if (PostgresValueConverter.POSITIVE_INFINITY_OFFSET_DATE_TIME.equals(moment)) {
                return "infinity";
            }
            return PostgresValueConverter.NEGATIVE_INFINITY_OFFSET_DATE_TIME.equals(moment)
                    ? "-infinity"
                    : Times.timestamp(moment.withOffsetSameInstant(ZoneOffset.UTC).toLocalDateTime(), "+00");
        }
        if (value instanceof byte[] bytes) {
            return HexFormat.of().formatHex(bytes);
        }
        if (value instanceof PGInterval interval) {
            return Times.interval(interval);
        }
        if (value instanceof PGobject object) {
            return Shapes.text(object);
        }
        if (value instanceof Number || value instanceof Boolean) {
            return value.toString();
        }
        throw new DataException("column " + column.dataCollection() + "." + column.name() + " of type " + type
                + ": no text is known for a " + value.getClass().getName());
    }

    private static String notANumber(SpecialValueDecimal number) {
        if (number.equals(SpecialValueDecimal.NOT_A_NUMBER)) {
            return "NaN";
        }
        return number.equals(SpecialValueDecimal.POSITIVE_INF) ? "Infinity" : "-Infinity";
    }
}
