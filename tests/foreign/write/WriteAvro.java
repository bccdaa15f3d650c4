// Writes Avro files with Apache's own library for Java: java -cp 'JARS/*' WriteAvro.java FOLDER
import java.io.File;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import org.apache.avro.Conversions;
import org.apache.avro.LogicalTypes;
import org.apache.avro.Schema;
import org.apache.avro.file.CodecFactory;
import org.apache.avro.file.DataFileWriter;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.util.Utf8;

public class WriteAvro {
  static final String SCHEMA =
      """
      {"type": "record", "name": "Row", "namespace": "org.example", "fields": [
        {"name": "id", "type": "long"},
        {"name": "score", "type": ["null", "float"], "default": null},
        {"name": "name", "type": [{"type": "string", "avro.java.string": "String"}, "null"]},
        {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}]},
        {"name": "exact", "type": ["null", {"type": "fixed", "name": "F16", "size": 16, "logicalType": "decimal", "precision": 38, "scale": 4}]},
        {"name": "big", "type": ["null", {"type": "bytes", "logicalType": "big-decimal"}]},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "clock", "type": ["null", {"type": "int", "logicalType": "time-millis"}]},
        {"name": "at_ms", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        {"name": "at_us", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
        {"name": "at_ns", "type": ["null", {"type": "long", "logicalType": "timestamp-nanos"}]},
        {"name": "uuid", "type": ["null", {"type": "string", "logicalType": "uuid"}]},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["RED", "BLUE"], "default": "RED"}},
        {"name": "hash", "type": {"type": "fixed", "name": "F4", "size": 4}},
        {"name": "events", "type": {"type": "array", "items": {"type": "record", "name": "Event", "fields": [
          {"name": "item", "type": "string"}, {"name": "ms", "type": ["null", "long"]}]}}},
        {"name": "nested", "type": {"type": "array", "items": {"type": "array", "items": "int"}}},
        {"name": "tags", "type": {"type": "map", "values": "string"}},
        {"name": "next", "type": ["null", "Row"], "default": null}]}
      """;

  static GenericRecord row(Schema schema, long id, boolean full) {
    Schema event = schema.getField("events").schema().getElementType();
    GenericRecord row = new GenericData.Record(schema);
    row.put("id", id);
    row.put("kind", new GenericData.EnumSymbol(schema.getField("kind").schema(), full ? "BLUE" : "RED"));
    row.put("hash", new GenericData.Fixed(schema.getField("hash").schema(), new byte[] {0, 1, (byte) 254, (byte) 255}));
    row.put("tags", full ? Map.of("k", "v") : Map.of());
    row.put("nested", full ? List.of(List.of(1, 2), List.of(), List.of(3)) : List.of());
    row.put("events", List.of());
    if (!full) return row;
    GenericRecord first = new GenericData.Record(event), second = new GenericData.Record(event);
    first.put("item", new Utf8("a"));
    first.put("ms", 20L);
    second.put("item", new Utf8("b"));
    row.put("events", List.of(first, second));
    row.put("score", 1.5f);
    row.put("name", "ann, ü");
    row.put("price", ByteBuffer.wrap(new BigDecimal("12.34").unscaledValue().toByteArray()));
    Schema exact = schema.getField("exact").schema().getTypes().get(1);
    row.put("exact", new Conversions.DecimalConversion().toFixed(new BigDecimal("-5.0001"), exact, LogicalTypes.decimal(38, 4)));
    Schema big = schema.getField("big").schema().getTypes().get(1);
    row.put("big", new Conversions.BigDecimalConversion().toBytes(new BigDecimal("0.125"), big, LogicalTypes.bigDecimal()));
    row.put("day", 19782);
    row.put("clock", 45015250);
    row.put("at_ms", 1709209815250L);
    row.put("at_us", 1709209815250000L);
    row.put("at_ns", 1709209815250000001L);
    row.put("uuid", "00112233-4455-6677-8899-aabbccddeeff");
    return row;
  }

  static void write(Schema schema, CodecFactory codec, String path, GenericRecord... rows) throws Exception {
    try (var writer = new DataFileWriter<GenericRecord>(new GenericDatumWriter<>(schema))) {
      if (codec != null) writer.setCodec(codec);
      writer.create(schema, new File(path));
      for (GenericRecord row : rows) writer.append(row);
    }
  }

  public static void main(String[] arguments) throws Exception {
    String to = arguments[0];
    Schema schema = new Schema.Parser().parse(SCHEMA);
    Schema flat = Schema.createRecord("Flat", null, null, false);
    flat.setFields(
        schema.getFields().stream().filter(f -> !f.name().equals("next")).map(f -> new Schema.Field(f, f.schema())).toList());
    write(flat, null, to + "/null.avro", row(flat, 1, true), row(flat, 2, false));
    write(flat, CodecFactory.deflateCodec(6), to + "/deflate.avro", row(flat, 1, true), row(flat, 2, false));
    write(flat, CodecFactory.snappyCodec(), to + "/snappy.avro", row(flat, 1, true), row(flat, 2, false));
    write(flat, CodecFactory.bzip2Codec(), to + "/bzip2.avro", row(flat, 1, true), row(flat, 2, false));
    write(flat, CodecFactory.xzCodec(6), to + "/xz.avro", row(flat, 1, true), row(flat, 2, false));
    write(flat, CodecFactory.zstandardCodec(3, true), to + "/zstandard.avro", row(flat, 1, true), row(flat, 2, false));
    GenericRecord outer = row(schema, 1, true);
    outer.put("next", row(schema, 2, false));
    write(schema, null, to + "/recursive.avro", outer);
  }
}
