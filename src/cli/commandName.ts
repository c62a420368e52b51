/**
 * The command as it was typed, for hints that can be pasted: `npx` and `npm run` say how they started it.
 */
export const commandName = (): string => {
  switch (process.env["npm_lifecycle_event"]) {
    case "npx":
      return "npx serena"
    case "start":
    case "serena":
      return "npm run --silent serena --"
    default:
      return "serena"
  }
}
