package millrace;

import org.apache.kafka.connect.errors.DataException;

/** PostgreSQL's literals of arrays and hstore, as the JSON that PostgreSQL makes of them (to_json, hstore_to_json). */
final class Json {
    private final String literal;
    private final StringBuilder json;
    private int at;

    private Json(String literal) {
        this.literal = literal;
        this.json = new StringBuilder(literal.length() + 16);
    }

    /** An array of any number of dimensions; elements are their texts or null. Lower bounds are not kept. */
    static String ofArray(String literal, char delimiter) {
        if (!literal.startsWith("{") && !literal.startsWith("[")) {
            return literal; // int2vector and oidvector: arrays to the catalog, but not in their text
        }
        Json reader = new Json(literal);
        if (literal.startsWith("[")) {
            reader.at = literal.indexOf('=') + 1;
        }
        while (reader.at < literal.length()) {
            char next = literal.charAt(reader.at);
            if (next == '{' || next == '}' || next == delimiter) {
                reader.json.append(next == '{' ? '[' : next == '}' ? ']' : ',');
                reader.at++;
            } else if (next == '"') {
                quote(reader.json, reader.quoted());
            } else {
                reader.bare(delimiter);
            }
        }
        return reader.json.toString();
    }

    /** Pairs in the order of the literal: {"key": "value", "other": null}. */
    static String ofHstore(String literal) {
        Json reader = new Json(literal);
        reader.json.append('{');
        while (reader.at < literal.length()) {
            quote(reader.json, reader.quoted());
            reader.expect("=>");
            reader.json.append(": ");
            if (literal.charAt(reader.at) == '"') {
                quote(reader.json, reader.quoted());
            } else {
                reader.expect("NULL");
                reader.json.append("null");
            }
            if (reader.at < literal.length()) {
                reader.expect(", ");
                reader.json.append(", ");
            }
        }
        return reader.json.append('}').toString();
    }

    private String quoted() {
        StringBuilder text = new StringBuilder();
        for (at++; literal.charAt(at) != '"'; at++) {
            if (literal.charAt(at) == '\\') {
                at++;
            }
            text.append(literal.charAt(at));
        }
        at++;
        return text.toString();
    }

    private void bare(char delimiter) {
        int start = at;
        while (literal.charAt(at) != delimiter && literal.charAt(at) != '}') {
            at++;
        }
        String element = literal.substring(start, at);
        if (element.equals("NULL")) {
            json.append("null");
        } else {
            quote(json, element);
        }
    }

    private void expect(String token) {
        if (!literal.startsWith(token, at)) {
            throw new DataException("not a literal of hstore: " + literal);
        }
        at += token.length();
    }

    private static void quote(StringBuilder json, String text) {
        json.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"' -> json.append("\\\"");
                case '\\' -> json.append("\\\\");
                case '\b' -> json.append("\\b");
                case '\f' -> json.append("\\f");
                case '\n' -> json.append("\\n");
                case '\r' -> json.append("\\r");
                case '\t' -> json.append("\\t");
                default -> {
                    if (c < ' ') {
                        json.append(String.format("\\u%04x", (int) c));
                    } else {
                        json.append(c);
                    }
                }
            }
        }
        json.append('"');
    }
}
