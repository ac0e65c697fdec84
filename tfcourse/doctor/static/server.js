// Asks the plugin's Python side.

/** Return the JSON of a route; throws if there is no good answer. */
export async function getJson(route, parameters = []) {
  const url = new URL(`./${route}`, import.meta.url);
  url.search = new URLSearchParams(parameters);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${route}: ${response.status}`);
  return response.json();
}
