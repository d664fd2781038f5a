import { mount } from 'svelte'
import './app.css'
import App from './App.svelte'
import { takeToken } from './lib/server'

takeToken()
mount(App, { target: document.getElementById('page')! })
