import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Reads the topic of recommendations whole, without a group, and draws an arm for each key.
 *
 * <p>Arguments: brokers, topic, task type, keys. Prints one JSON object per key with what the call logs, or "default" with
 * the reason. It draws what the SDK draws in Python: docs/reference.md, section 3, has the rule.
 */
public final class FollowRecommendations {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Comparator<JsonNode> BY_NAME =
            Comparator.<JsonNode, byte[]>comparing(arm -> utf8(arm.get("model").asText()), Arrays::compareUnsigned)
                    .thenComparing(arm -> utf8(arm.get("config").asText()), Arrays::compareUnsigned);

    private final Map<String, JsonNode> newest = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        FollowRecommendations following = new FollowRecommendations();
        following.readToTheEnd(arguments[0], arguments[1]);
        for (String key : Arrays.copyOfRange(arguments, 3, arguments.length)) {
            System.out.println(following.route(arguments[2], key));
        }
    }

    /** A router would go on polling on a thread of its own; what it reads takes effect at once. */
    private void readToTheEnd(String brokers, String topic) throws Exception {
        Map<String, Object> settings =
                Map.of("bootstrap.servers", brokers, "enable.auto.commit", false, "isolation.level", "read_committed");
        StringDeserializer text = new StringDeserializer();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings, text, text)) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                    .map(partition -> new TopicPartition(topic, partition.partition()))
                    .collect(Collectors.toList());
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    take(record.key(), record.value());
                }
            }
        }
    }

    /** Of a task type the greatest seq counts, but one that has expired gives way to one that has not. */
    private void take(String key, String value) throws Exception {
        if (value == null) {
            newest.remove(key);
            return;
        }
        JsonNode record = JSON.readTree(value);
        JsonNode held = newest.get(key);
        boolean isNewer = held == null
                || (isValid(record) == isValid(held)
                        ? record.get("seq").asLong() >= held.get("seq").asLong()
                        : isValid(record));
        if (isNewer) {
            newest.put(key, record);
        }
    }

    private String route(String taskType, String key) throws Exception {
        JsonNode record = newest.get(taskType);
        if (record == null || !isValid(record)) {
            return JSON.writeValueAsString(Map.of("default", record == null ? "unknown_task" : "expired"));
        }
        for (JsonNode segment : record.get("segments")) {
            if (segment.get("segment").isNull()) {
                JsonNode arm = armAt(segment.get("arms"), key == null ? anyPlace() : placeOf(taskType, key));
                return JSON.writeValueAsString(Map.of(
                        "model", arm.get("model"),
                        "config", arm.get("config"),
                        "recommendation_id", record.get("recommendation_id"),
                        "propensity", arm.get("weight")));
            }
        }
        return JSON.writeValueAsString(Map.of("default", "unknown_task"));
    }

    private static JsonNode armAt(JsonNode arms, double place) {
        List<JsonNode> ordered = new ArrayList<>();
        arms.forEach(ordered::add);
        ordered.removeIf(arm -> arm.get("weight").asDouble() == 0);
        ordered.sort(BY_NAME);
        double total = 0;
        for (JsonNode arm : ordered) {
            total += arm.get("weight").asDouble();
        }
        double end = 0;
        for (JsonNode arm : ordered) {
            end += arm.get("weight").asDouble();
            if (place * total < end) {
                return arm;
            }
        }
        return ordered.get(ordered.size() - 1);
    }

    /** The first 53 bits of SHA-256 over task type, a zero byte and key, as a binary fraction. */
    private static double placeOf(String taskType, String key) throws Exception {
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(utf8(taskType + "\0" + key));
        long bits = 0;
        for (int i = 0; i < 8; i++) {
            bits = bits << 8 | (hash[i] & 0xff);
        }
        return (bits >>> 11) * 0x1p-53;
    }

    private static double anyPlace() {
        return ThreadLocalRandom.current().nextDouble();
    }

    private static boolean isValid(JsonNode record) {
        return Instant.now().isBefore(Instant.parse(record.get("valid_until").asText()));
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
