// The OpenAI library for Node, unmodified, against a running server; prints what it has read as JSON.
//
//     npm install openai && node serving_client.mjs URL MODEL
//
// Node looks for the library beside this file and above it, and in NODE_PATH only for `require`.

import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE_PATH || import.meta.dirname, "x.js"));
const OpenAI = require("openai");

const [url, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const fields = { model, max_tokens: 20, seed: 7 };
const ids = [2, 3, 4];

const check = (right, what) => {
  if (!right) throw new Error(what);
};

const prompts = ["The ", ["The ", "a"], ids, [ids, ids.slice(0, 2)]];
const whole = [];
for (const prompt of prompts) whole.push(await client.completions.create({ ...fields, prompt }));
check(whole.map((each) => each.choices.length).join() === "1,2,1,2", "numbers of choices");
const text = whole[0].choices[0].text;
check(whole[1].choices[0].text === text, "a list gives another text");

let streamed = "";
let usage = null;
const stream = await client.completions.create({
  ...fields, prompt: "The ", stream: true, stream_options: { include_usage: true }, min_p: 0,
});
for await (const event of stream) {
  streamed += event.choices[0]?.text ?? "";
  usage = event.usage ?? usage;
}
check(streamed === text, "a stream gives another text");
check(usage.completion_tokens === whole[0].usage.completion_tokens, "usage of a stream");

const messages = [{ role: "user", content: "The" }];
const chat = await client.chat.completions.create({ ...fields, messages });
const said = await client.chat.completions.stream({ ...fields, messages }).finalContent();
check(said === chat.choices[0].message.content, "a streamed chat gives another text");

const endless = await client.completions.create({
  model, prompt: "The ", stream: true, max_tokens: 100000, logit_bias: { 0: -100 },
});
for await (const event of endless) {
  if (event.choices[0].text) break; // leaves the stream
}

const errors = [];
for (const wrong of [{ top_p: 3 }, { model: "none" }, { prompt: "\u597d" }]) {
  try {
    await client.completions.create({ model, prompt: "The ", ...wrong });
  } catch (problem) {
    errors.push([problem.constructor.name, problem.code, problem.param]);
  }
}
const models = [];
for await (const each of client.models.list()) models.push(each.id);
console.log(JSON.stringify({ text, models, errors }));
