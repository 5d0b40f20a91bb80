import { createApp } from 'vue'
import App from './App.vue'
import './style/tokens.css'
import './style/base.css'
import './style/board.css'
import './style/panels.css'
import './style/overlays.css'
import './style/desk.css'

createApp(App).mount('#board')
