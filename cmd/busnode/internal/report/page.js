"use strict";
// The copy button. Pages opened from a file may not have the clipboard: then the
// text is selected, for the reader to copy.
(() => {
	const button = document.getElementById("copy");
	const command = document.getElementById("command");
	if (!button || !command) return;
	button.hidden = false;
	const say = (word) => {
		button.textContent = word;
		setTimeout(() => { button.textContent = "Copy"; }, 1500);
	};
	const select = () => {
		getSelection().selectAllChildren(command);
		say("Selected");
	};
	button.addEventListener("click", () => {
		if (!navigator.clipboard) return select();
		navigator.clipboard.writeText(command.textContent).then(() => say("Copied"), select);
	});
})();
