// Evaluates what it reads, one JSON object a line, with the OpenFeature SDK and its OFREP provider.

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.openfeature.contrib.providers.ofrep.OfrepProvider;
import dev.openfeature.contrib.providers.ofrep.OfrepProviderOptions;
import dev.openfeature.sdk.*;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.*;

public class Driver {
    public static void main(String[] arguments) throws Exception {
        ObjectMapper json = new ObjectMapper();
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        OfrepProviderOptions options = OfrepProviderOptions.builder().baseUrl(arguments[0]).build();
        OpenFeatureAPI.getInstance().setProviderAndWait(OfrepProvider.constructProvider(options));
        Client client = OpenFeatureAPI.getInstance().getClient();
        out.println("{\"ready\":true}");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            Map<String, Object> wanted = json.readValue(line, Map.class);
            Map<String, Value> attributes = new HashMap<>();
            ((Map<String, Object>) wanted.get("attributes")).forEach((key, value) -> attributes.put(key, value(value)));
            String targetingKey = (String) wanted.get("targetingKey");
            EvaluationContext context = targetingKey == null
                ? new ImmutableContext(attributes) : new ImmutableContext(targetingKey, attributes);
            FlagEvaluationDetails<?> details = evaluate(client, wanted, context);
            Map<String, Object> answer = new LinkedHashMap<>();
            answer.put("value", details.getValue() instanceof Value value ? plain(value) : details.getValue());
            answer.put("variant", details.getVariant());
            answer.put("reason", details.getReason());
            answer.put("error", details.getErrorCode() == null ? null : details.getErrorCode().name());
            answer.put("metadata", details.getFlagMetadata() == null ? null : details.getFlagMetadata().asUnmodifiableMap());
            out.println(json.writeValueAsString(answer));
        }
        System.exit(0);
    }

    private static FlagEvaluationDetails<?> evaluate(Client client, Map<String, Object> wanted, EvaluationContext context) {
        String key = (String) wanted.get("key");
        Object other = wanted.get("default");
        return switch ((String) wanted.get("type")) {
            case "bool" -> client.getBooleanDetails(key, (Boolean) other, context);
            case "int" -> client.getIntegerDetails(key, ((Number) other).intValue(), context);
            case "number" -> client.getDoubleDetails(key, ((Number) other).doubleValue(), context);
            case "string" -> client.getStringDetails(key, (String) other, context);
            default -> client.getObjectDetails(key, value(other), context);
        };
    }

    private static Value value(Object plain) {
        return Value.objectToValue(plain);
    }

    private static Object plain(Value value) {
        if (value.isStructure()) {
            Map<String, Object> map = new LinkedHashMap<>();
            value.asStructure().asMap().forEach((key, inner) -> map.put(key, plain(inner)));
            return map;
        }
        if (value.isList()) {
            return value.asList().stream().map(Driver::plain).toList();
        }
        return value.asObject();
    }
}
