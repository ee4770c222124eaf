"use strict";

// All addresses are relative to the page, which a proxy may serve below a prefix.

const EXAMPLES = {
  "Live sightings": `# Press Run and step in front of a camera.
subscription Live {
  sightings {
    cursor
    revision
    sighting { id state camera { name } openedAt lastSeenAt frames }
    identity { status similarity subject { displayName } }
  }
}
`,
  "Known people only": `subscription Known {
  sightings(filter: { identity: [KNOWN] }) {
    cursor
    sighting { state camera { name } lastSeenAt }
    identity { similarity threshold subject { name displayName } }
  }
}
`,
  "Last sightings": `query Last {
  sightings(first: 10) {
    nodes {
      id state openedAt lastSeenAt camera { name }
      identity { status similarity subject { displayName } }
    }
    pageInfo { hasNextPage endCursor }
  }
}
`,
  "Cameras": `query Cameras {
  cameras(first: 50) {
    nodes {
      namespace name sourceType url
      heartbeat { state message stale capturedFps analysedFps latencyP95Ms fitness }
      conditions { type status reason message }
    }
  }
}
`,
  "Subjects and their photos": `query Subjects {
  subjects(first: 50) {
    nodes { name displayName enrolled active photos { name accepted reason message } }
  }
}
`,
};

const endpoint = () => location.pathname;
const socketUrl = () => location.origin.replace(/^http/, "ws") + endpoint();

/** Run one query over HTTP. */
async function ask(token, body) {
  const response = await fetch(endpoint(), {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  return response.json();
}

/** Run one operation over graphql-transport-ws; after a lost connection it resumes behind the last cursor. */
async function* listen(token, body, signal, url) {
  const { query, variables, operationName } = body;
  let cursor;
  for (let failures = 0; !signal.aborted; failures += 1) {
    const resumed = cursor && /\$after\b/.test(query) ? { ...variables, after: cursor } : variables;
    const connection = { ended: false };
    for await (const result of messages(token, { query, variables: resumed, operationName }, signal, url, connection)) {
      failures = 0;
      const found = Object.values(result.data ?? {})[0];
      cursor = found?.cursor ?? cursor;
      yield result;
    }
    if (connection.ended || signal.aborted) return;
    yield { notice: `connection lost (${connection.reason}); connecting again` };
    await new Promise((wake) => setTimeout(wake, Math.min(10000, 500 * 2 ** failures) * (0.5 + Math.random() / 2)));
  }
}

/** Yield the results of one WebSocket, and record in `connection` how it ended. */
async function* messages(token, payload, signal, url, connection) {
  const socket = new WebSocket(url, "graphql-transport-ws");
  const waiting = [];
  let wake = () => {};
  const put = (item) => { waiting.push(item); wake(); };
  const send = (message) => socket.send(JSON.stringify(message));
  socket.onopen = () => send({ type: "connection_init", payload: { authorization: `Bearer ${token}` } });
  socket.onmessage = ({ data }) => put(JSON.parse(data));
  socket.onerror = () => put({ type: "closed", code: 1006, reason: `no WebSocket at ${url}: the API is not running, or a proxy does not pass the headers Upgrade and Connection` });
  socket.onclose = ({ code, reason }) => put({ type: "closed", code, reason });
  signal.addEventListener("abort", () => socket.close(1000));
  for (;;) {
    while (waiting.length === 0) await new Promise((resolve) => { wake = resolve; });
    const message = waiting.shift();
    if (message.type === "connection_ack") send({ id: "1", type: "subscribe", payload });
    if (message.type === "ping") send({ type: "pong" });
    if (message.type === "next") yield message.payload;
    if (message.type === "error") yield { errors: message.payload };
    if (message.type === "error" || message.type === "complete") {
      connection.ended = true;
      socket.close(1000);
      return;
    }
    if (message.type === "closed") {
      connection.reason = message.reason || `code ${message.code}`;
      connection.ended = message.code >= 4400 && message.code < 4410; // refused: trying again changes nothing
      if (connection.ended) yield { errors: [{ message: connection.reason }] };
      return;
    }
  }
}

const isSubscription = (query, operationName) =>
  new RegExp(operationName ? `subscription\\s+${operationName}\\b` : "(^|\\n)\\s*subscription\\b").test(query);

/** Keep the token for this tab; `#token=…` in the address is moved into the field. */
function tokenField() {
  const field = document.getElementById("token");
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) history.replaceState(null, "", location.pathname + location.search);
  field.value = given ?? sessionStorage.getItem("token") ?? "";
  sessionStorage.setItem("token", field.value);
  field.addEventListener("input", () => sessionStorage.setItem("token", field.value));
  return () => field.value.trim();
}

function startGraphiQL(token) {
  const fetcher = (body) => {
    if (!isSubscription(body.query, body.operationName)) return ask(token(), body);
    const stop = new AbortController();
    const results = listen(token(), body, stop.signal, socketUrl());
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => results.next(),
        return: async () => { stop.abort(); return { done: true, value: undefined }; },
      }),
    };
  };
  const element = document.getElementById("graphiql");
  ReactDOM.createRoot(element).render(React.createElement(GraphiQL, {
    fetcher,
    defaultQuery: Object.values(EXAMPLES)[0],
    defaultTabs: Object.values(EXAMPLES).map((query) => ({ query })),
    shouldPersistHeaders: false,
  }));
}

if (typeof document !== "undefined") startGraphiQL(tokenField());
if (typeof module !== "undefined") module.exports = { isSubscription, listen };
