package millrace;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.InvalidKeyException;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

import org.apache.kafka.connect.errors.DataException;

/** What becomes of a value's text before it leaves the connector; `cdc/masking.py` says the same for every other path. */
interface Mask {
    Mask CLEAR = text -> text;

    /** Never null for a text. */
    String of(String text);

    /** By column (`schema.table` to column to mask), for the tables of which some columns are masked. */
    static Map<String, Map<String, Mask>> read(Map<?, ?> declared, String key) {
        Map<String, Map<String, Mask>> tables = new HashMap<>();
        declared.forEach((table, columns) -> {
            Map<String, Mask> masks = new HashMap<>();
            ((Map<?, ?>) columns).forEach((column, mask) -> masks.put((String) column, parse((String) mask, key)));
            tables.put((String) table, masks);
        });
        return tables;
    }

    private static Mask parse(String mask, String key) {
        Matcher truncate = Pattern.compile("truncate\\((\\d+)\\)").matcher(mask);
        if (truncate.matches()) {
            int length = Integer.parseInt(truncate.group(1));
            return text -> text.codePointCount(0, text.length()) <= length ? text : text.substring(0, text.offsetByCodePoints(0, length));
        }
        return switch (mask) {
            case "clear" -> CLEAR;
            case "redact" -> text -> "***";
            case "hash" -> hash(key);
            default -> throw new DataException("no mask is called " + mask);
        };
    }

    private static Mask hash(String key) {
        if (key == null || key.isEmpty()) {
            throw new DataException("the converter needs its property `key.password` for masks by hash");
        }
        if (key.startsWith("${")) { // what Connect hands on where the file has no such line: anybody knows it
            throw new DataException("the key of masks by hash is not in its properties file; `millrace cdc apply` puts it there");
        }
        Mac mac;
        try {
            mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
        } catch (InvalidKeyException error) {
            throw new DataException("the key of the masks cannot be used");
        } catch (GeneralSecurityException error) {
            throw new DataException("this Java has no HmacSHA256", error);
        }
        return text -> {
            synchronized (mac) {
                return HexFormat.of().formatHex(mac.doFinal(text.getBytes(StandardCharsets.UTF_8)));
            }
        };
    }
}
