// Evaluates what it reads, one JSON object a line, with the OpenFeature SDK and its OFREP provider.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/open-feature/go-sdk-contrib/providers/ofrep"
	"github.com/open-feature/go-sdk/openfeature"
)

type wanted struct {
	Type         string         `json:"type"`
	Key          string         `json:"key"`
	Default      any            `json:"default"`
	TargetingKey string         `json:"targetingKey"`
	Attributes   map[string]any `json:"attributes"`
}

func main() {
	if err := openfeature.SetProviderAndWait(ofrep.NewProvider(os.Args[1])); err != nil {
		log.Fatal(err)
	}
	client := openfeature.NewClient("driver")
	out := json.NewEncoder(os.Stdout)
	out.Encode(map[string]any{"ready": true})
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var w wanted
		if err := json.Unmarshal(line, &w); err != nil {
			log.Fatal(err)
		}
		evaluation := openfeature.NewEvaluationContext(w.TargetingKey, w.Attributes)
		value, details := evaluate(client, w, evaluation)
		out.Encode(map[string]any{
			"value":    value,
			"variant":  details.Variant,
			"reason":   details.Reason,
			"error":    details.ErrorCode,
			"metadata": details.FlagMetadata,
		})
	}
}

func evaluate(client *openfeature.Client, w wanted, evaluation openfeature.EvaluationContext) (any, openfeature.EvaluationDetails) {
	ctx := context.Background()
	switch w.Type {
	case "bool":
		details, _ := client.BooleanValueDetails(ctx, w.Key, w.Default.(bool), evaluation)
		return details.Value, details.EvaluationDetails
	case "int":
		details, _ := client.IntValueDetails(ctx, w.Key, int64(w.Default.(float64)), evaluation)
		return details.Value, details.EvaluationDetails
	case "number":
		details, _ := client.FloatValueDetails(ctx, w.Key, w.Default.(float64), evaluation)
		return details.Value, details.EvaluationDetails
	case "string":
		details, _ := client.StringValueDetails(ctx, w.Key, w.Default.(string), evaluation)
		return details.Value, details.EvaluationDetails
	default:
		details, _ := client.ObjectValueDetails(ctx, w.Key, w.Default, evaluation)
		return details.Value, details.EvaluationDetails
	}
}
