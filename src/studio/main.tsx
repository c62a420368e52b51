/**
 * The studio: a page that generates images with the server it came from.
 */
import { render } from "preact"
import { App } from "./App.tsx"

const root = document.getElementById("studio")
if (root !== null) render(<App />, root)
