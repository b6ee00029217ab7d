// What a page complains of, and what it asks of others than its own origin.

/** A line for each, in a list that grows while the page lives. */
export function listen(page, address) {
  const heard = [];
  page.on("console", (message) => message.type() === "error" && heard.push(message.text()));
  page.on("pageerror", (error) => heard.push(String(error)));
  page.on("request", (request) => {
    const asked = new URL(request.url());
    if (!["data:", "blob:"].includes(asked.protocol) && asked.origin !== new URL(address).origin) heard.push(`asks ${asked.origin}`);
  });
  return heard;
}
