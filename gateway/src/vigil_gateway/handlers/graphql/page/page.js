"use strict";

// GraphiQL comes from unpkg.com, each file checked against its hash; where they cannot be loaded (a machine without the
// Internet), the plain console below does the same without any other file.
const CDN = "https://unpkg.com/";
const FILES = [
  ["react@18.2.0/umd/react.production.min.js", "sha384-tMH8h3BGESGckSAVGZ82T9n90ztNXxvdwvdM6UoR56cYcf+0iGXBliJ29D+wZ/x8"],
  ["react-dom@18.2.0/umd/react-dom.production.min.js", "sha384-bm7MnzvK++ykSwVJ2tynSE5TRdN+xL418osEVF2DE/L/gfWHj91J2Sphe582B1Bh"],
  ["graphiql@3.8.3/graphiql.min.css", "sha384-Mq3vbRBY71jfjQAt/DcjxUIYY33ksal4cgdRt9U/hNPvHBCaT2JfJ/PTRiPKf0aM"],
  ["graphiql@3.8.3/graphiql.min.js", "sha384-HbRVEFG0JGJZeAHCJ9Xm2+tpknBQ7QZmNlO/DgZtkZ0aJSypT96YYGRNod99l9Ie"],
];
const LOAD_MS = 5000;
const SHOWN = 100; // results kept on the page

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

const INTROSPECTION = `{ __schema { queryType { fields { ...Field } } subscriptionType { fields { ...Field } } } }
fragment Field on __Field { name description args { name type { ...Type } } type { ...Type } }
fragment Type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }`;

/** Run one query over HTTP. */
async function ask(token, body) {
  const response = await fetch("/graphql", {
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
  socket.onerror = () => put({ type: "closed", code: 1006, reason: "no connection" });
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

const socketUrl = () => location.origin.replace(/^http/, "ws") + "/graphql";
const isSubscription = (query, operationName) =>
  new RegExp(operationName ? `subscription\\s+${operationName}\\b` : "(^|\\n)\\s*subscription\\b").test(query);

function load([path, integrity]) {
  return new Promise((resolve, reject) => {
    const style = path.endsWith(".css");
    const element = document.createElement(style ? "link" : "script");
    Object.assign(element, { integrity, crossOrigin: "anonymous", onload: resolve, onerror: () => reject(new Error(path)) });
    Object.assign(element, style ? { rel: "stylesheet", href: CDN + path } : { src: CDN + path });
    document.head.append(element);
    setTimeout(() => reject(new Error(path)), LOAD_MS);
  });
}

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
  element.hidden = false;
  ReactDOM.createRoot(element).render(React.createElement(GraphiQL, {
    fetcher,
    defaultQuery: Object.values(EXAMPLES)[0],
    defaultTabs: Object.values(EXAMPLES).map((query) => ({ query })),
    shouldPersistHeaders: false,
  }));
}

function startConsole(token) {
  const [query, variables, output, run, stop, examples, fields] =
    ["query", "variables", "output", "run", "stop", "examples", "fields"].map((id) => document.getElementById(id));
  document.getElementById("console").hidden = false;
  for (const name of Object.keys(EXAMPLES)) examples.append(new Option(name));
  const choose = () => { query.value = EXAMPLES[examples.value]; };
  examples.addEventListener("change", choose);
  choose();

  let running = null;
  const show = (value) => {
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    output.prepend(document.createTextNode(`${text}\n\n`));
    while (output.childNodes.length > SHOWN) output.lastChild.remove();
  };
  const start = async () => {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    output.textContent = "";
    stop.disabled = false;
    try {
      const body = { query: query.value, variables: variables.value.trim() ? JSON.parse(variables.value) : undefined };
      if (!isSubscription(body.query)) show(await ask(token(), body));
      else for await (const result of listen(token(), body, signal, socketUrl())) show(result.notice ?? result);
    } catch (error) {
      show(String(error));
    }
    if (!running || running.signal === signal) stop.disabled = true;
  };
  run.addEventListener("click", start);
  stop.addEventListener("click", () => running?.abort());
  query.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) start();
  });
  fields.addEventListener("click", async () => {
    const answer = await ask(token(), { query: INTROSPECTION });
    show(answer.errors ? answer : described(answer.data.__schema));
  });
}

/** Write a schema's root fields as SDL would. */
function described(schema) {
  const type = ({ kind, name, ofType }) =>
    kind === "NON_NULL" ? `${type(ofType)}!` : kind === "LIST" ? `[${type(ofType)}]` : (name ?? "…");
  const line = ({ name, description, args, type: of }) =>
    `  ${name}${args.length ? `(${args.map((arg) => `${arg.name}: ${type(arg.type)}`).join(", ")})` : ""}: ${type(of)}\n` +
    `      ${description ?? ""}`;
  const block = (word, { fields }) => `${word}\n${fields.map(line).join("\n")}`;
  return `${block("query", schema.queryType)}\n\n${block("subscription", schema.subscriptionType)}`;
}

async function start() {
  const token = tokenField();
  const notice = document.getElementById("notice");
  try {
    for (const file of FILES) await load(file);
    notice.textContent = "GraphiQL, from unpkg.com; the tabs hold ready operations";
    startGraphiQL(token);
  } catch (error) {
    notice.textContent = `Plain console: GraphiQL's files (${CDN}) cannot be had here`;
    startConsole(token);
  }
}

if (typeof document !== "undefined") start();
if (typeof module !== "undefined") module.exports = { described, isSubscription, listen };
