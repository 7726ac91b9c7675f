package millrace;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;

import org.apache.kafka.connect.errors.DataException;
import org.postgresql.geometric.PGbox;
import org.postgresql.geometric.PGcircle;
import org.postgresql.geometric.PGline;
import org.postgresql.geometric.PGlseg;
import org.postgresql.geometric.PGpath;
import org.postgresql.geometric.PGpoint;
import org.postgresql.geometric.PGpolygon;
import org.postgresql.util.PGobject;

/** Geometric values as PostgreSQL writes them, with its spelling of numbers. */
final class Shapes {
    private Shapes() {
    }

    static String text(PGobject shape) {
        if (shape instanceof PGpoint point) {
            return point(point);
        }
        if (shape instanceof PGbox box) {
            return points("", box.point, "");
        }
        if (shape instanceof PGlseg segment) {
            return points("[", segment.point, "]");
        }
        if (shape instanceof PGpath path) {
            return path.open ? points("[", path.points, "]") : points("(", path.points, ")");
        }
        if (shape instanceof PGpolygon polygon) {
            return points("(", polygon.points, ")");
        }
        if (shape instanceof PGcircle circle) {
            return "<" + point(circle.center) + "," + number(circle.radius) + ">";
        }
        if (shape instanceof PGline line) {
            return "{" + number(line.a) + "," + number(line.b) + "," + number(line.c) + "}";
        }
        if (shape.getClass() == PGobject.class) {
            return shape.getValue();
        }
        throw new DataException("no text is known for a " + shape.getClass().getName());
    }

    private static String points(String before, PGpoint[] points, String after) {
        StringBuilder text = new StringBuilder(before);
        for (int i = 0; i < points.length; i++) {
            text.append(i == 0 ? "" : ",").append(point(points[i]));
        }
        return text.append(after).toString();
    }

    private static String point(PGpoint point) {
        return "(" + number(point.x) + "," + number(point.y) + ")";
    }

    /** The shortest digits that give the number back; with an exponent below 1e-4 and from 1e15 on. */
    static String number(double value) {
        if (Double.isNaN(value)) {
            return "NaN";
        }
        if (Double.isInfinite(value)) {
            return value > 0 ? "Infinity" : "-Infinity";
        }
        String sign = Double.doubleToRawLongBits(value) < 0 ? "-" : "";
        double size = Math.abs(value);
        if (size == 0) {
            return sign + "0";
        }
        BigDecimal exact = new BigDecimal(size);
        BigDecimal shortest = exact;
        for (int digits = 1; digits <= 17; digits++) {
            shortest = exact.round(new MathContext(digits, RoundingMode.HALF_EVEN));
            if (shortest.doubleValue() == size) {
                break;
            }
        }
        shortest = shortest.stripTrailingZeros();
        int exponent = shortest.precision() - shortest.scale() - 1;
        if (exponent >= -4 && exponent < 15) {
            return sign + shortest.toPlainString();
        }
        String digits = shortest.unscaledValue().toString();
        String fraction = digits.length() > 1 ? "." + digits.substring(1) : "";
        return sign + digits.charAt(0) + fraction + String.format("e%s%02d", exponent < 0 ? "-" : "+", Math.abs(exponent));
    }
}
