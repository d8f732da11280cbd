// Command outcomes sends one outcome per call id that is given, with franz-go.
//
// Arguments: brokers, topic of outcomes, call ids. An id that ends with "-" was not accepted.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Outcome has the fields that are used here; docs/reference.md, section 1, has all.
type Outcome struct {
	OutcomeID  string `json:"outcome_id"`
	CallID     string `json:"call_id"`
	OccurredAt string `json:"occurred_at"`
	Source     string `json:"source"`
	Success    bool   `json:"success"`
	Reason     string `json:"reason,omitempty"`
}

func main() {
	if len(os.Args) < 4 {
		log.Fatal("usage: outcomes BROKERS TOPIC CALL_ID...")
	}
	// The default partitioner places keys as Java's producers do, and the default producer is idempotent.
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(os.Args[1], ",")...))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var records []*kgo.Record
	for _, id := range os.Args[3:] {
		records = append(records, record(os.Args[2], strings.TrimSuffix(id, "-"), !strings.HasSuffix(id, "-")))
	}
	if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		log.Fatal(err)
	}
}

func record(topic, callID string, success bool) *kgo.Record {
	outcome := Outcome{
		// The same id for the same event: what is sent twice counts once.
		OutcomeID:  "review-of-" + callID,
		CallID:     callID,
		OccurredAt: time.Now().UTC().Format(time.RFC3339Nano),
		Source:     "review",
		Success:    success,
	}
	value, err := json.Marshal(outcome)
	if err != nil {
		log.Fatal(err)
	}
	return &kgo.Record{Topic: topic, Key: []byte(callID), Value: value}
}
