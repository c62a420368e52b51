/**
 * The studio: a page that makes pictures with the server it came from.
 */
import { render } from "preact"
import { App } from "./App.tsx"

const root = document.getElementById("studio")
if (root !== null) render(<App />, root)
