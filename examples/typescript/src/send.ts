/**
 * Sends one call per id that is given, with KafkaJS.
 *
 * Arguments: brokers, topic of calls, call ids. Types are those of `aftercall schema`.
 */
import { Kafka, Partitioners, logLevel } from "kafkajs";
import type { AgentCall } from "./aftercall.js";

const [brokers = "localhost:9092", topic = "agent.calls", ...callIds] = process.argv.slice(2);

function callOf(callId: string): AgentCall {
  return {
    call_id: callId,
    occurred_at: new Date().toISOString(),
    task_type: "support",
    model: "large",
    config: "prompt-v7",
    latency_ms: 840,
    attrs: { release: "1.4.2" },
  };
}

// @ts-expect-error A call without its model does not compile.
const incomplete: AgentCall = { call_id: "c1", occurred_at: "2026-03-02T09:00:00Z", task_type: "support" };
void incomplete;

const kafka = new Kafka({ clientId: "support-agent", brokers: brokers.split(","), logLevel: logLevel.ERROR });
// Places keys as Java's producers do, so that a call and its outcomes share a partition; the legacy one does not.
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
await producer.connect();
await producer.send({
  topic,
  acks: -1,
  messages: callIds.map((callId) => ({ key: callId, value: JSON.stringify(callOf(callId)) })),
});
await producer.disconnect();
