// A form for one type of message: what stands in its fields, as the JSON that is sent. Numbers are taken as they are
// written, since a whole number may have more digits than a browser's have.

const WHOLE = /^-?(0|[1-9]\d*)$/;

class Wrong extends Error {}

function valueOf(field) {
  const { name, kind } = field.dataset;
  const written = kind === "text" ? field.value : field.value.trim();
  if (kind === "text") return JSON.stringify(written);
  if (kind === "integer" && !WHOLE.test(written)) throw new Wrong(`“${name}” is a whole number.`);
  try {
    const value = JSON.parse(written);
    if (kind === "number" && typeof value !== "number") throw new SyntaxError();
  } catch {
    throw new Wrong(kind === "number" ? `“${name}” is a number.` : `“${name}” is written as JSON.`);
  }
  return written;
}

/** { text } of the message as it is filled in, or { mistake }. What is empty and may be left out is left out. */
export function written(form) {
  try {
    const members = [...form.querySelectorAll("[data-name]")]
      .filter((field) => field.value !== "" || "required" in field.dataset)
      .map((field) => `${JSON.stringify(field.dataset.name)}:${valueOf(field)}`);
    return { text: `{${[form.dataset.head, ...members].filter(Boolean).join(",")}}` };
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    return { mistake: error.message };
  }
}
